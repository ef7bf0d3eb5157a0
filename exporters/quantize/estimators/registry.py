"""The range estimators, by name. One is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.quantize.span import Range
from firmware_sim.errors import UsageError

DEFAULT: Final = "mse"

Channels = NDArray[np.float32]
"""A value for each channel, [C]."""


class Estimator(Protocol):
    """Sees all values of one tensor, batch by batch, and then says its range."""

    def add(self, values: torch.Tensor, lows: Channels, highs: Channels) -> None:
        """One more batch [B, ..., C], finite, with the smallest and the largest value of each channel."""

    def range(self) -> Range:
        """The range; at least one batch was added."""


_BUILT_IN = {name: f"exporters.quantize.estimators.{name}" for name in (DEFAULT, "minmax", "percentile")}
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
