"""Frozen dataclasses that cost little to define.

`dataclass` compiles the methods of each class anew when its module is imported, which was a quarter of the time of a cold
command. A record inherits them,, and gets an `__init__` of its own only once many of its kind are made:

    class Interval(Record):
        first: int
        last: int = 0

Type checkers take it for a frozen dataclass, and so do the functions of `dataclasses` (`replace`, `fields`, `asdict`).
Records behind the scenes, which nobody compares with another type, are NamedTuples. Objects that change are plain classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from dataclasses import Field

    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """Only type checkers look at it, and `typing` has it from Python 3.11 on."""
        return lambda decorated: decorated


# A model has hundreds of tensors; compiling takes as long as making three hundred records.
_MANY: Final = 300


class _Kind(type):
    """Makes slots of the annotations of a class: once it exists, it is too late for them."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Kind:
        names = tuple(namespace.get("__annotations__", ())) if bases else ()
        defaults = {name: namespace.pop(name) for name in names if name in namespace}
        kind = super().__new__(cls, name, bases, {**namespace, "__slots__": names, "__match_args__": names})
        kind._defaults = defaults
        kind._setters = tuple(vars(kind)[name].__set__ for name in names)
        kind._made = 0
        return kind

    _defaults: Mapping[str, Any]
    _setters: tuple[Callable[[object, object], None], ...]
    _made: int


class _Fields:
    """What `dataclasses` looks for in a class; made when it first does."""

    def __get__(self, instance: object, owner: type[Record]) -> Mapping[str, Field[Any]]:
        return _fields(owner)


@dataclass_transform(frozen_default=True)
class Record(metaclass=_Kind):
    """Base of records: equal if class and fields are, hashable if the fields are. A default that is a dict is copied."""

    __match_args__: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[Any] = _Fields()

    def __init__(self, *args: Any, **named: Any) -> None:
        kind, values = type(self), args
        if len(args) != len(kind._setters) or named:
            values = _values(kind, args, named)
        for setter, value in zip(kind._setters, values):  # noqa: B905  # as many, or there was an error
            setter(self, value)
        kind._made += 1
        if kind._made == _MANY:
            kind.__init__ = _initialiser(kind)  # type: ignore[method-assign]

    def replaced(self, **changes: Any) -> Self:
        """A copy with other values for some fields; `dataclasses.replace`, without loading it."""
        kind = type(self)
        values = [changes.pop(name) if name in changes else getattr(self, name) for name in kind.__match_args__]
        if changes:
            raise TypeError(f"{kind.__qualname__} has no field {', '.join(changes)}")
        return kind(*values)

    def __setattr__(self, name: str, value: object) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self.__match_args__])

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({values})"


def _values(kind: type[Record], args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """All fields in their order, those included that were not given by position; `named` is used up."""
    values = list(args)
    for name in kind.__match_args__[len(args) :]:
        if name in named:
            values.append(named.pop(name))
        elif name in kind._defaults:
            values.append(_default(kind, name))
        else:
            raise TypeError(f"{kind.__qualname__} needs {name}")
    if named or len(args) > len(kind.__match_args__):
        raise TypeError(f"{kind.__qualname__} takes {', '.join(kind.__match_args__)}, each once")
    return tuple(values)


def _initialiser(kind: type[Record]) -> Callable[..., None]:
    """An `__init__` whose arguments are the fields: twice as fast as the one for all kinds."""
    names: dict[str, Any] = {}
    arguments, body = ["self"], ["pass"]
    for name in kind.__match_args__:
        names[f"_set_{name}"] = vars(kind)[name].__set__
        argument = value = name
        if name in kind._defaults:
            names[f"_default_{name}"] = kind._defaults[name]
            argument = f"{name}=_default_{name}"
            if kind._defaults[name].__class__ is dict:
                value = f"{name}.copy() if {name} is _default_{name} else {name}"
        arguments.append(argument)
        body.append(f"_set_{name}(self, {value})")
    exec(f"def __init__({', '.join(arguments)}): {'; '.join(body)}", names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__, made.__module__ = f"{kind.__qualname__}.__init__", kind.__module__
    return made


def _default(kind: type[Record], name: str) -> Any:
    value = kind._defaults[name]
    return value.copy() if value.__class__ is dict else value


@cache
def _fields(kind: type[Record]) -> Mapping[str, Field[Any]]:
    from dataclasses import field, make_dataclass

    columns = [
        (name, Any, field(default_factory=partial(_default, kind, name)) if name in kind._defaults else field())
        for name in kind.__match_args__
    ]
    made: Any = make_dataclass(kind.__name__, columns)
    fields: Mapping[str, Field[Any]] = made.__dataclass_fields__
    return fields
