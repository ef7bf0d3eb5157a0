"""A comparison as text for a terminal."""

from __future__ import annotations

import textwrap
from typing import Final

from firmware_sim.report.diff.compare import Difference, LayerChange
from firmware_sim.report.diff.words import LABELS, count, position, share, signed, tally, warnings
from firmware_sim.report.labels import printable, shorten
from firmware_sim.report.registry import Style

_MOST_LAYERS: Final = 20


def render(difference: Difference, style: Style) -> str:
    """Both sides, the totals, and the layers that changed most."""
    lines = [
        f"before  {printable(difference.before.path)}  ({printable(difference.before.profile)})",
        f"after   {printable(difference.after.path)}  ({printable(difference.after.profile)})",
        "",
        f"  {'':<22} {'before':>14} {'after':>14} {'change':>14}",
    ]
    for figure in difference.figures:
        row = f"  {LABELS[figure.name]:<22} {count(figure.before):>14} {count(figure.after):>14} {signed(figure.change):>14}"
        lines.append(f"{row} {share(figure):>9}".rstrip())
    lines += ["", tally(difference)]
    different = difference.largest()
    if different:
        lines.append(f"  {'layer':>9}  {'':<7}  {'operator':<22}  {'alive':>11}  {'MACs':>13}  {'weights':>11}  output")
        lines += [_row(layer, style.width) for layer in different[:_MOST_LAYERS]]
    if different[_MOST_LAYERS:]:
        lines.append(f"  and {len(different) - _MOST_LAYERS} more; json has all of them")
    for note in warnings(difference):
        lines += textwrap.wrap(f"note: {printable(note)}", style.width, subsequent_indent="      ")
    return "\n".join(lines)


def _row(change: LayerChange, width: int) -> str:
    layer = change.layer
    figures = f"{signed(change.change('live_bytes')):>11}  {signed(change.change('macs')):>13}"
    row = (
        f"  {position(change):>9}  {change.kind:<7}  {shorten(layer.op, 22):<22}  {figures}  "
        f"{signed(change.change('weight_bytes')):>11}"
    )
    room = width - len(row) - 2
    return f"{row}  {shorten(layer.name, room)}" if room >= 8 else row
