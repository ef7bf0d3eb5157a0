"""Which function lowers which torch module: a table that layers of any package extend by registering.

A lowering takes (module, builder, *values) and returns the value of the module's output. It sees the module in
evaluation mode. A module with a lowering is a leaf of the trace: nothing looks inside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from exporters.errors import ExportError
from exporters.lower.builder import Builder, Value

Lowering = Callable[..., Value]
_LOWERINGS: dict[type[nn.Module], Lowering] = {}


def register(*types: type[nn.Module]) -> Callable[[Lowering], Lowering]:
    """Register the decorated function as the lowering of these module types (and of subclasses without their own).

    Raises:
        ValueError: a type has a lowering already.
    """

    def keep(function: Lowering) -> Lowering:
        for kind in types:
            if kind in _LOWERINGS and _LOWERINGS[kind] is not function:
                raise ValueError(f"{kind.__qualname__} has a lowering already: {_LOWERINGS[kind].__qualname__}")
            _LOWERINGS[kind] = function
        return function

    return keep


def find(kind: type[nn.Module]) -> Lowering | None:
    """The lowering of a module type: its own, else that of the nearest base class."""
    return next((_LOWERINGS[base] for base in kind.__mro__ if base in _LOWERINGS), None)


def names() -> tuple[str, ...]:
    """Names of all types that can be lowered, sorted."""
    return tuple(sorted({kind.__name__ for kind in _LOWERINGS}))


def lower_module(module: nn.Module, builder: Builder, *args: Any) -> Value:
    """Lower one module.

    Raises:
        ExportError: nothing is registered for it.
    """
    function = find(type(module))
    if function is None:
        raise ExportError(
            f"{type(module).__name__} cannot be exported to integer TFLite",
            where=builder.where or "the network",
            hint=f"use one of {', '.join(names())}, or teach the exporter with exporters.lower.register",
        )
    return function(module, builder, *args)
