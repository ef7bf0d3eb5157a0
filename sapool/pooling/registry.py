"""Pooling methods by name. A method is a class that a decorator registers; `sapool.catalog` says where it lives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from sapool import catalog
from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer

Layer = TypeVar("Layer", bound=type[PoolingLayer])
_METHODS: dict[str, type[PoolingLayer]] = {}


def register(name: str) -> Callable[[Layer], Layer]:
    """Register the decorated class under `name`.

    Raises:
        ValueError: another class has that name.
    """

    def keep(layer: Layer) -> Layer:
        known = _METHODS.get(name)
        if known is not None and known.__qualname__ != layer.__qualname__:
            raise ValueError(f"the pooling method {name!r} is registered already: {known.__qualname__}")
        _METHODS[name] = layer
        return layer

    return keep


def available() -> tuple[str, ...]:
    """Names of all methods, sorted; those that other packages registered included."""
    return tuple(sorted({*catalog.POOLING, *_METHODS}))


def method(name: str) -> type[PoolingLayer]:
    """The class of a method.

    Raises:
        UsageError: no such method, with the nearest name.
    """
    if name not in _METHODS:
        importlib.import_module(catalog.POOLING[catalog.known("pooling method", name, available())])
    return _METHODS[name]


def create(
    name: str, *, channels: int, stride: int, size: tuple[int, int] | None = None, **options: Any
) -> PoolingLayer:
    """A pooling layer [B, channels, H, W] -> [B, channels, H/stride, W/stride].

    Args:
        name: see `available`.
        channels: channels of the map.
        stride: factor by which height and width shrink.
        size: (H, W) of the map; self-attentive pooling needs it for its positions.
        options: settings of the method.

    Raises:
        UsageError: unknown method or option, or settings that make no sense.
    """
    layer = method(name)
    if name in catalog.POOLING_OPTIONS:
        for option in options:
            catalog.known(f"option of {name} pooling", option, catalog.POOLING_OPTIONS[name])
    try:
        return layer(channels, stride, size, **options)
    except TypeError as error:
        raise UsageError(f"{name} pooling: {error}") from error
