"""Backbones by name. A backbone is a class built from a specification; `sapool.catalog` says where it lives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from sapool import catalog
from sapool.spec import ModelSpec

Network = TypeVar("Network", bound=type[nn.Module])
_BACKBONES: dict[str, type[nn.Module]] = {}


def register(name: str) -> Callable[[Network], Network]:
    """Register the decorated class, whose constructor takes a `ModelSpec`, under `name`.

    Raises:
        ValueError: another class has that name.
    """

    def keep(network: Network) -> Network:
        known = _BACKBONES.get(name)
        if known is not None and known.__qualname__ != network.__qualname__:
            raise ValueError(f"the backbone {name!r} is registered already: {known.__qualname__}")
        _BACKBONES[name] = network
        return network

    return keep


def available() -> tuple[str, ...]:
    """Names of all backbones, sorted."""
    return tuple(sorted({*catalog.BACKBONES, *_BACKBONES}))


def build(spec: ModelSpec) -> nn.Module:
    """The network of a specification, freshly initialised: [B, channels, resolution, resolution] -> [B, classes].

    Raises:
        UsageError: the pooling method refuses its settings at one of the stages (which one is said).
    """
    if spec.backbone not in _BACKBONES:
        importlib.import_module(catalog.BACKBONES[spec.backbone])
    return _BACKBONES[spec.backbone](spec)
