"""The formats of a check, by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from firmware_sim.budget.evaluation import Outcome
from firmware_sim.errors import UsageError
from firmware_sim.records import Record
from firmware_sim.report import Style

_FORMATS: Final = ("text", "json", "markdown", "github", "gitlab", "junit", "sarif")


class FormatContext(Record):
    """What a format knows besides the outcome.

    Attributes:
        style: layout for people.
        root: the repository; the formats that mark places in files name them relative to it.
    """

    style: Style = Style()
    root: Path = Path()


def formats() -> tuple[str, ...]:
    """The names of the formats, "text" first."""
    return _FORMATS


def render(outcome: Outcome, format: str = "text", *, style: Style | None = None, root: Path | None = None) -> str:
    """Write an outcome in one of the `formats`.

    Args:
        outcome: what to write.
        format: name of the format.
        style: layout for people; by default 100 columns without colour.
        root: the repository's folder, by default the current one.

    Raises:
        UsageError: there is no such format.
    """
    if format not in _FORMATS:
        raise UsageError(f"unknown format '{format}'", hint=f"formats: {', '.join(_FORMATS)}")
    context = FormatContext(style or Style(), root or Path())
    text: str = import_module(f"firmware_sim.budget.formats.{format}").render(outcome, context)
    return text
