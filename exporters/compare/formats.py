"""The formats of a comparison, by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from exporters.compare.result import Comparison
from firmware_sim.errors import UsageError

_FORMATS: Final = ("text", "json", "csv", "html", "svg")
_SUFFIXES: Final = {".txt": "text"} | {f".{name}": name for name in _FORMATS if name != "text"}


def formats() -> tuple[str, ...]:
    """The names of the formats, "text" first."""
    return _FORMATS


def format_of(path: Path) -> str:
    """The format that the suffix of a file asks for.

    Raises:
        UsageError: none does.
    """
    known = _SUFFIXES.get(path.suffix.lower())
    if known is None:
        raise UsageError(
            "the suffix does not say how to write a comparison", where=path, hint=f"suffixes: {', '.join(_SUFFIXES)}"
        )
    return known


def render(comparison: Comparison, format: str = "text", *, name: str = "model") -> str:
    """Write a comparison in one of the `formats`.

    Args:
        comparison: what to write.
        format: name of the format.
        name: what to call the model.

    Raises:
        UsageError: there is no such format.
    """
    if format not in _FORMATS:
        raise UsageError(f"a comparison has no format '{format}'", hint=f"formats: {', '.join(_FORMATS)}")
    text: str = import_module(f"exporters.compare.{format}").render(comparison, name)
    return text
