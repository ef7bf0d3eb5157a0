"""Pooling methods by name. A method is a class that a decorator registers; `sapool.catalog` knows those of this package."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, get_args, get_type_hints

from sapool import catalog
from sapool.pooling.base import PoolingLayer

Layer = TypeVar("Layer", bound=type[PoolingLayer])
_METHODS: dict[str, type[PoolingLayer]] = {}


def register(name: str) -> Callable[[Layer], Layer]:
    """Register the decorated class under `name`; specifications know it from then on.

    The keyword-only arguments of its constructor, of type int, float or bool (or None), are its options.

    Raises:
        ValueError: another class has that name, or it cannot stand in a specification.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(f"{name!r} cannot stand in a specification: use a-z, 0-9 and _, a letter first")

    def keep(layer: Layer) -> Layer:
        owner = catalog.POOLING[name].module if name in catalog.POOLING else layer.__module__
        if name in _METHODS or owner != layer.__module__:
            raise ValueError(f"the pooling method {name!r} is registered already, by {owner}")
        catalog.POOLING.setdefault(name, describe(layer))
        _METHODS[name] = layer
        return layer

    return keep


def describe(layer: type[PoolingLayer]) -> catalog.Method:
    """What the catalogue says of a method, read from its class."""
    hints = get_type_hints(layer.__init__)
    options: dict[str, catalog.OptionType] = {}
    for name, parameter in inspect.signature(layer.__init__).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            kinds = set(get_args(hints[name]) or (hints[name],)) - {type(None)}
            options[name] = kinds.pop()
    return catalog.Method(layer.__module__, options, layer.strides_convolution)


def available() -> tuple[str, ...]:
    """Names of all methods, sorted; those that other packages registered included."""
    return tuple(sorted(catalog.POOLING))


def method(name: str) -> type[PoolingLayer]:
    """The class of a method.

    Raises:
        UsageError: no such method, with the nearest name.
    """
    catalog.known("pooling method", name, available())
    if name not in _METHODS:
        importlib.import_module(catalog.POOLING[name].module)
    return _METHODS[name]


def create(
    name: str, *, channels: int, stride: int, size: tuple[int, int] | None = None, **options: Any
) -> PoolingLayer:
    """A pooling layer [B, channels, H, W] -> [B, channels, H/stride, W/stride].

    Args:
        name: see `available`.
        channels: channels of the map.
        stride: factor by which height and width shrink.
        size: (H, W) of the map where it is known; methods that learn something for each place then hold no more than it
            takes, and what cannot work at this size is refused now.
        options: settings of the method.

    Raises:
        UsageError: unknown method or option, or settings that make no sense.
    """
    layer = method(name)
    for option in options:
        catalog.known(f"option of {name} pooling", option, catalog.POOLING[name].options)
    return layer(channels, stride, size, **options)
