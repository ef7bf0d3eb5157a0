"""A comparison as Markdown for a pull request."""

from __future__ import annotations

from firmware_sim.report.diff.compare import Difference
from firmware_sim.report.diff.words import LABELS, count, position, share, signed, tally, warnings
from firmware_sim.report.labels import shorten
from firmware_sim.report.markdown import plain, table
from firmware_sim.report.registry import Style

_NAME_WIDTH = 60


def render(difference: Difference, style: Style) -> str:
    """The totals, and the layers that changed folded away, largest change first."""
    before, after = difference.before, difference.after
    sides = f"{plain(before.path)} ({plain(before.profile)}) to {plain(after.path)} ({plain(after.profile)})"
    totals = [
        (LABELS[figure.name], count(figure.before), count(figure.after), signed(figure.change), share(figure))
        for figure in difference.figures
    ]
    parts = [f"### Memory: {sides}", table(("", "before", "after", "change", ""), totals), tally(difference)]
    rows = [
        (
            position(change).replace(">", "&gt;"),
            change.kind,
            plain(change.layer.op),
            plain(shorten(change.layer.name, _NAME_WIDTH)),
            *(signed(change.change(name)) for name in ("live_bytes", "persistent_bytes", "macs", "weight_bytes")),
        )
        for change in difference.largest()
    ]
    if rows:
        header = ("layer", "", "operator", "output", "alive", "persistent", "MACs", "weights")
        content = table(header, rows, left=4)
        parts.append(f"<details>\n<summary>{len(rows)} layers differ</summary>\n\n{content}\n\n</details>")
    parts += [f"> {plain(note)}" for note in warnings(difference)]
    return "\n\n".join(parts)
