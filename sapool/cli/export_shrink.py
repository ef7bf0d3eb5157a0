"""How `sapool export` shrinks what it writes: the option, and what is said of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from exporters.tflite import TfliteModel
    from firmware_sim.report.shrink import ShrinkReport
    from sapool.checkpoint import Checkpoint

shrink_option = click.option(
    "--shrink/--no-shrink", default=None,
    help="Let outputs overlap inputs that are no longer needed, so that the arena is smaller and the outputs are the same; "
    "as sapool shrink. By default on for the presets nano, tiny, small and medium.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shrinking:
    """The model to write; `report` is None if it was not to be shrunk."""

    model: TfliteModel
    report: ShrinkReport | None

    def as_dict(self) -> dict[str, Any] | None:
        """For the JSON report."""
        if self.report is None:
            return None
        found, proof = self.report.shrunk, self.report.proof
        before, after = found.before.arena, found.after.arena
        return {
            "kernels": found.kernels,
            "profile": found.before.profile.id,
            "changed": found.is_changed,
            "before": {"head_bytes": before.head_bytes, "total_bytes": before.total_bytes},
            "after": {"head_bytes": after.head_bytes, "total_bytes": after.total_bytes},
            "bound_bytes": found.bound_bytes,
            "floor_bytes": found.floor_bytes,
            "builds": [asdict(build) for build in found.builds],
            "passes": [use.name for use in found.passes],
            "safe_with": list(found.libraries),
            "proof": None if proof is None else asdict(proof),
            "unproven": self.report.unproven or None,
            "notes": list(found.notes),
        }


def shrinking(loaded: Checkpoint, model: TfliteModel, wanted: bool | None, profile: str | None, name: str) -> Shrinking:
    """Shrink a model if that is wanted, or by default right for its network."""
    from sapool.export import shrinks_by_default, shrunk

    if not (shrinks_by_default(loaded.spec) if wanted is None else wanted):
        return Shrinking(model, None)
    return Shrinking(*shrunk(model, profile=profile, name=name))


def shrink_lines(done: dict[str, Any] | None) -> list[str]:
    """Before and after, and for which kernels it holds."""
    if done is None:
        return []
    if not done["changed"]:
        return [f"  shrink    nothing to gain with {done['kernels']} kernels; {'; '.join(done['notes'])}"]
    before, after = done["before"], done["after"]
    proof = done["proof"]
    shown = f"same outputs for {proof['inputs']} inputs in TFLM" if proof else f"not run in TFLM: {done['unproven']}"
    more = ""
    if after["total_bytes"] == before["total_bytes"]:
        best = max(done["builds"], key=lambda build: build["total_before_bytes"] - build["total_after_bytes"])
        saved = best["total_before_bytes"] - best["total_after_bytes"]
        more = f" ({best['profile']} needs {saved:,} less)"
    line = (
        f"  shrink    arena {before['total_bytes']:,} -> {after['total_bytes']:,} bytes{more}, head "
        f"{before['head_bytes']:,} -> {after['head_bytes']:,}; {shown}"
    )
    if "overlap" not in done["passes"]:
        return [line]
    return [
        line,
        f"  kernels   the memory plan is for {', '.join(done['safe_with'])}; outputs may be wrong with other libraries "
        "(--no-shrink holds for any)",
    ]
