"""The range estimators, by name. One is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, Protocol

import torch

from exporters.quantize.span import Range
from firmware_sim.errors import UsageError

DEFAULT: Final = "minmax"


class Estimator(Protocol):
    """Sees all values of one tensor, batch by batch, and then says its range."""

    def add(self, values: torch.Tensor, low: float, high: float) -> None:
        """One more batch, of any shape and finite; `low` and `high` are its smallest and largest value."""

    def range(self) -> Range:
        """The range; at least one batch was added."""


_BUILT_IN = {name: f"exporters.quantize.estimators.{name}" for name in ("minmax", "percentile", "mse")}
_ESTIMATORS: dict[str, Callable[[], Estimator]] = {}


def register(name: str) -> Callable[[type], type]:
    """Make a class the estimator `name`; it is called without arguments, once for each tensor.

    Raises:
        ValueError: the name is taken by another class.
    """

    def decorate(kind: type) -> type:
        if name in _ESTIMATORS or (name in _BUILT_IN and kind.__module__ != _BUILT_IN[name]):
            raise ValueError(f"the range estimator '{name}' exists already")
        _ESTIMATORS[name] = kind
        return kind

    return decorate


def methods() -> tuple[str, ...]:
    """The names of all estimators, the default first."""
    return tuple(dict.fromkeys([*_BUILT_IN, *_ESTIMATORS]))


def estimator(name: str) -> Callable[[], Estimator]:
    """What makes the estimators `name`, one for each tensor.

    Raises:
        UsageError: there is no such estimator.
    """
    if name in _BUILT_IN:
        import_module(_BUILT_IN[name])
    if name not in _ESTIMATORS:
        raise UsageError(f"unknown calibration method '{name}'", hint=f"methods: {', '.join(methods())}")
    return _ESTIMATORS[name]
