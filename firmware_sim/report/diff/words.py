"""What the formats for people share: labels, signs, and sentences."""

from __future__ import annotations

from collections import Counter
from typing import Final

from firmware_sim.report.diff.compare import Difference, FigureChange, LayerChange

LABELS: Final = {
    "total_bytes": "arena, total", "head_bytes": "head", "tail_bytes": "tail", "minimum_bytes": "smallest arena",
    "lower_bound_bytes": "lower bound of head", "model_bytes": "model file", "macs": "multiply-accumulates",
}  # fmt: skip


def count(value: int | None) -> str:
    """A figure, or that it is not known."""
    return "unknown" if value is None else f"{value:,}"


def signed(change: int | None) -> str:
    """A change with its sign; nothing for none."""
    if change is None:
        return "unknown"
    return f"{change:+,}" if change else "0"


def share(figure: FigureChange) -> str:
    """The change in percent of what was; empty where that says nothing."""
    return f"{100 * figure.change / figure.before:+.1f} %" if figure.change and figure.before else ""


def position(change: LayerChange) -> str:
    """Where the layer is, with its old place where that differs: "7", "5 > 7"; subgraphs in front unless it is the first."""
    places = [
        f"{layer.subgraph}:{layer.index}" if layer.subgraph else str(layer.index)
        for layer in (change.before, change.after)
        if layer is not None
    ]
    return " > ".join(dict.fromkeys(places))


def tally(difference: Difference) -> str:
    """How many layers grew, shrank, came and went."""
    kinds = Counter(layer.kind for layer in difference.layers)
    changed = [layer.change("live_bytes") for layer in difference.layers if layer.kind == "changed"]
    grew, shrank = sum(change > 0 for change in changed), sum(change < 0 for change in changed)
    other = len(changed) - grew - shrank
    parts = [f"{grew} grew", f"{shrank} shrank", f"{kinds['added']} added", f"{kinds['removed']} removed"]
    if other:
        parts.append(f"{other} changed but not in bytes alive")
    return f"Layers: {', '.join(parts)}, {kinds['same']} as before."


def warnings(difference: Difference) -> list[str]:
    """What makes the comparison less than it seems."""
    notes = []
    if difference.before.profile != difference.after.profile:
        notes.append(
            f"The profiles differ ({difference.before.profile}, {difference.after.profile}): so do kernels and pointers."
        )
    for side, measured in (("before", difference.before), ("after", difference.after)):
        if not measured.exact:
            notes.append(f"The figures {side} are not exact; its own report says why.")
    return notes
