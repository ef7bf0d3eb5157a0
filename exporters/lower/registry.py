"""Which function lowers which torch module, function or tensor method: tables that any package extends by registering.

A lowering of a module takes (module, builder, *values) and returns the value of the module's output. It sees the module in
evaluation mode. A module with a lowering is a leaf of the trace: nothing looks inside it. A lowering of a function takes
(builder, *arguments), the arguments as torch names them, with values in the place of tensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from torch import nn

from exporters.errors import ExportError
from exporters.lower.builder import Builder
from exporters.lower.value import Value

Lowering = Callable[..., Value]
FunctionLowering = Callable[..., Any]
AnyFunction = TypeVar("AnyFunction", bound=FunctionLowering)

_LOWERINGS: dict[type[nn.Module], Lowering] = {}
_FUNCTIONS: dict[Any, FunctionLowering] = {}
_METHODS: dict[str, FunctionLowering] = {}
_TAKE_MARGINS: set[Any] = set()
_INSTEAD: Final[dict[str, str]] = json.loads(Path(__file__).with_name("instead.json").read_text("utf-8"))
# Torch calls its tensors by several names; a lowering takes them by position.
_TENSOR_ARGUMENTS: Final = ("input", "tensors", "other")


def register(*types: type[nn.Module], takes_margins: bool = False) -> Callable[[Lowering], Lowering]:
    """Register the decorated function as the lowering of these module types (and of subclasses without their own).

    `takes_margins` says that it reads the zeros around a padded map; others never see one.

    Raises:
        ValueError: a type has a lowering already.
    """

    def keep(function: Lowering) -> Lowering:
        for kind in types:
            if kind in _LOWERINGS and _LOWERINGS[kind] is not function:
                raise ValueError(f"{kind.__qualname__} has a lowering already: {_LOWERINGS[kind].__qualname__}")
            _LOWERINGS[kind] = function
        if takes_margins:
            _TAKE_MARGINS.add(function)
        return function

    return keep


def register_function(
    *targets: Any, methods: tuple[str, ...] = (), takes_margins: bool = False
) -> Callable[[AnyFunction], AnyFunction]:
    """Register the decorated function as the lowering of these functions, and of these methods of a tensor.

    `takes_margins`: see `register`.

    Raises:
        ValueError: one of them has a lowering already.
    """

    def keep(function: AnyFunction) -> AnyFunction:
        for table, keys in ((_FUNCTIONS, targets), (_METHODS, methods)):
            for key in dict.fromkeys(keys):  # torch has two names for some
                if key in table:
                    raise ValueError(f"{_name(key)} has a lowering already")
                table[key] = function
        if takes_margins:
            _TAKE_MARGINS.add(function)
        return function

    return keep


def find(kind: type[nn.Module]) -> Lowering | None:
    """The lowering of a module type: its own, else that of the nearest base class whose forward it still has."""
    for base in kind.__mro__:
        if base in _LOWERINGS:
            return _LOWERINGS[base]
        if "forward" in vars(base):
            return None
    return None


def names() -> tuple[str, ...]:
    """Names of all module types that can be lowered, sorted."""
    return tuple(sorted({kind.__name__ for kind in _LOWERINGS}))


def lower_module(module: nn.Module, builder: Builder, *args: Any, **kwargs: Any) -> Value:
    """Lower one module.

    Raises:
        ExportError: nothing is registered for it, or it is called with arguments that its lowering does not know.
    """
    kind = type(module).__name__
    function = find(type(module))
    if function is None:
        raise builder.refuse(
            f"{kind} cannot be exported to integer TFLite",
            _INSTEAD.get(kind)
            or f"use one of {', '.join(names())}, or teach the exporter with exporters.lower.register",
        )
    value: Value = _apply(function, (module, builder), kind, builder, args, kwargs)
    return value


def lower_function(target: Any, builder: Builder, *args: Any, **kwargs: Any) -> Any:
    """Lower one call of a function, or of a method of a tensor (`target` is its name).

    Raises:
        ExportError: nothing is registered for it, or it is called with arguments that its lowering does not know.
    """
    table: dict[Any, FunctionLowering] = _METHODS if isinstance(target, str) else _FUNCTIONS
    function = table.get(target)
    if function is None:
        supported = ", ".join(sorted({_name(key) for key in table if not _name(key).endswith("_")}))
        raise builder.refuse(
            f"{_name(target)}() cannot be exported to integer TFLite",
            _INSTEAD.get(_name(target).strip("_")) or f"supported: {supported}",
        )
    return _apply(function, (builder,), f"{_name(target)}()", builder, args, kwargs)


def _apply(
    function: Callable[..., Any], head: tuple[Any, ...], name: str, builder: Builder, args: Any, kwargs: dict[str, Any]
) -> Any:
    if function not in _TAKE_MARGINS:
        for value in _values((*args, *kwargs.values())):
            builder.need_no_margins(value)
    tensors = [kwargs[key] for key in _TENSOR_ARGUMENTS if key in kwargs]
    rest = {key: value for key, value in kwargs.items() if key not in _TENSOR_ARGUMENTS}
    try:
        return function(*head, *args, *tensors, **rest)
    except ExportError:
        raise
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        # A lowering has the signature of what it lowers, as far as that is supported.
        raise builder.refuse(f"{name} is called in a way that is not supported ({error})") from error


def _values(args: Any) -> Iterator[Value]:
    for arg in args:
        if isinstance(arg, Value):
            yield arg
        elif isinstance(arg, (tuple, list)):
            yield from _values(arg)


def _name(target: Any) -> str:
    """A function's name as a user wrote it; torch hides some behind a dispatcher that is called `fn`."""
    if isinstance(target, str):
        return target
    name = str(getattr(target, "__name__", target))
    if name == "fn":
        name = next((key for key, value in vars(nn.functional).items() if value is target), name)
    return name
