"""The formats of a memory report, by name. A format is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from firmware_sim.accounting import MemoryReport
from firmware_sim.errors import UsageError


class Style(NamedTuple):
    """How text is laid out: columns, and whether terminal colours are used. Formats for programs ignore it."""

    width: int = 100
    colour: bool = False


Renderer = Callable[[MemoryReport, tuple[str, ...], Style], str]

_BUILT_IN = {name: f"firmware_sim.report.{name}" for name in ("text", "json", "csv", "markdown", "html", "svg")}
_RENDERERS: dict[str, Renderer] = {}


def register(name: str) -> Callable[[Renderer], Renderer]:
    """Make a function the format `name`.

    Raises:
        ValueError: the name is taken by another function.
    """

    def decorate(renderer: Renderer) -> Renderer:
        if name in _RENDERERS or (name in _BUILT_IN and renderer.__module__ != _BUILT_IN[name]):
            raise ValueError(f"the report format '{name}' exists already")
        _RENDERERS[name] = renderer
        return renderer

    return decorate


def formats() -> tuple[str, ...]:
    """The names of all formats, "text" first."""
    return tuple(dict.fromkeys([*_BUILT_IN, *_RENDERERS]))


def render(report: MemoryReport, format: str = "text", *, notes: Sequence[str] = (), style: Style | None = None) -> str:
    """Write a report in one of the `formats`.

    Args:
        report: what to write.
        format: name of the format.
        notes: sentences that belong to the figures, from `firmware_sim.report.notes.collect`.
        style: layout for people; by default 100 columns without colour.

    Raises:
        UsageError: there is no such format.
    """
    if format in _BUILT_IN:
        import_module(_BUILT_IN[format])
    renderer = _RENDERERS.get(format)
    if renderer is None:
        raise UsageError(f"unknown report format '{format}'", hint=f"formats: {', '.join(formats())}")
    return renderer(report, tuple(notes), style or Style())
