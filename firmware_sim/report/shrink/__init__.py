"""What shrinking a model did, for people and for programs: one format a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from firmware_sim.report.chosen import renderer
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
    return renderer(__name__, format, _FORMATS)(report)
