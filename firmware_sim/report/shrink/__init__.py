"""What shrinking a model did, for people and for programs: one format a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from firmware_sim.errors import UsageError
from firmware_sim.rewrite.proof import Proof
from firmware_sim.rewrite.shrink import Shrunk

_FORMATS: Final = ("text", "json", "html", "svg")


@dataclass(frozen=True, slots=True)
class ShrinkReport:
    """A rewritten model and how it was shown to be right; `unproven` says why TFLM was not run."""

    shrunk: Shrunk
    proof: Proof | None
    unproven: str = ""


def formats() -> tuple[str, ...]:
    """The names of all formats, "text" first."""
    return _FORMATS


def render(report: ShrinkReport, format: str = "text") -> str:
    """Write a report in one of the `formats`.

    Raises:
        UsageError: there is no such format.
    """
    if format not in _FORMATS:
        raise UsageError(f"unknown format '{format}'", hint=f"formats: {', '.join(_FORMATS)}")
    renderer: Callable[[ShrinkReport], str] = import_module(f"firmware_sim.report.shrink.{format}").render
    return renderer(report)
