"""Values of settings, as text and as objects; what specifications are made of."""

from __future__ import annotations

from typing import Any, Final

from sapool.errors import UsageError

Option = int | float | bool
_WANTED: Final = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def typed(name: str, value: Any, kind: type) -> Any:
    """`value` if it is of the type that the setting `name` has (an integer is a number too).

    Raises:
        UsageError: it is of another type.
    """
    right = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not right:
        raise UsageError(f"{name} must be {_WANTED[kind]}, not {value!r}", where="model")
    return value


def to_text(value: Any) -> str:
    """A value, or one for each of several places with slashes between."""
    if isinstance(value, tuple):
        return "/".join(to_text(each) for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def from_text(name: str, text: str, kind: type) -> Option | str:
    """The value that `text` stands for, of the type that the setting `name` has.

    Raises:
        UsageError: it stands for none.
    """
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind is str:
        return text
    try:
        if kind is not bool:
            number: Option = kind(text)
            return number
    except ValueError:
        pass
    raise UsageError(f"{name} must be {_WANTED[kind]}, not {text!r}", where="model")
