"""The format `csv`: a header, and one row a layer (RFC 4180)."""

from __future__ import annotations

import csv
import io

from firmware_sim.accounting import MemoryReport
from firmware_sim.report.labels import printable
from firmware_sim.report.registry import Style, register

COLUMNS = (
    "model", "profile", "target", "subgraph", "layer", "op", "name", "live_bytes", "scratch_bytes", "persistent_bytes",
    "macs", "weight_bytes", "peak", "exact",
)  # fmt: skip


@register("csv")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """The layers. `peak` and `exact` are true or false; sums are left to the reader."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    target = report.target.id if report.target else ""
    for layer in report.layers:
        row: list[object] = [cell(report.model.path), report.profile.id, target, layer.subgraph, layer.index]
        row += [cell(layer.op), cell(layer.name), layer.live_bytes, layer.scratch_bytes, layer.persistent_bytes]
        row += [layer.macs, layer.weight_bytes, _truth(layer.peak), _truth(not layer.inexact)]
        writer.writerow(row)
    return stream.getvalue()


def cell(text: str) -> str:
    """A name from a file; spreadsheets would run one that begins like a formula, so it gets an apostrophe in front."""
    text = printable(text)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _truth(value: bool) -> str:
    return "true" if value else "false"
