"""What computing layers in bands did, for people and for programs: one format a file.

text.py  stages, ladder, and the report of `firmware_sim.report.shrink`
json.py  the same for programs, by the schema beside it
html.py  one page with arena maps before and after, the flow of the bands and the ladder
svg.py   the arena maps alone
flow.py  how bands flow through the layers of a stage, as a picture

proven.py makes a report: it rewrites a model and compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from firmware_sim.report.chosen import renderer
from firmware_sim.report.shrink import ShrinkReport
from firmware_sim.rewrite.bands.proof import TensorProof
from firmware_sim.rewrite.bands.run import Banded
from firmware_sim.rewrite.proof import Proof

_FORMATS: Final = ("text", "json", "html", "svg", "flow")


@dataclass(frozen=True, slots=True)
class BandsReport:
    """A rewritten model and how it was shown to be right; `unproven` says why TFLM was not run."""

    banded: Banded
    proof: Proof | None
    tensors: TensorProof | None
    unproven: str = ""

    @property
    def shrink(self) -> ShrinkReport:
        """The part that shrinking without bands has too."""
        return ShrinkReport(self.banded.shrunk, self.proof, self.unproven)


def formats() -> tuple[str, ...]:
    """The names of all formats, "text" first."""
    return _FORMATS


def render(report: BandsReport, format: str = "text") -> str:
    """Write a report in one of the `formats`.

    Raises:
        UsageError: there is no such format.
    """
    return renderer(__name__, format, _FORMATS)(report)
