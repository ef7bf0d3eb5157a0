"""The format `markdown`: tables for a pull request (GitHub's flavour)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from firmware_sim.accounting import MemoryReport
from firmware_sim.report.labels import position, printable, shorten
from firmware_sim.report.reasons import explain
from firmware_sim.report.registry import Style, register
from firmware_sim.sizes import describe

_NAME_WIDTH = 60


@register("markdown")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """Totals, why, and the layers folded away."""
    parts = [f"### {plain(report.model.path)} on {plain(_where(report))}", totals(report), _why(report), _fit(report)]
    rows = [
        (
            f"**{position(report, layer)}**" if layer.peak else position(report, layer),
            plain(layer.op),
            plain(shorten(layer.name, _NAME_WIDTH)),
            *(f"{figure:,}" for figure in (layer.live_bytes, layer.scratch_bytes, layer.persistent_bytes)),
            *(f"{figure:,}" for figure in (layer.macs, layer.weight_bytes)),
        )
        for layer in report.layers
    ]
    header = ("layer", "operator", "output", "alive", "scratch", "persistent", "MACs", "weights")
    layers = table(header, rows, left=3)
    parts.append(f"<details>\n<summary>{len(rows)} layers</summary>\n\n{layers}\n\n</details>")
    parts += [f"> {plain(note)}" for note in notes]
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """A table whose first `left` columns are words, the rest figures. Cells are taken as they are: see `plain`."""
    rule = ["---" if column < left else "--:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def plain(text: str) -> str:
    """`text` from a file, so that it is neither markup, nor HTML, nor the end of a cell."""
    text = re.sub(r"([\\`*_\[\]#!|~$])", r"\\\1", printable(text))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def totals(report: MemoryReport) -> str:
    """The figures of the arena, and of flash."""
    arena = report.arena
    rows = [
        (label, "unknown" if size is None else describe(size), plain(arena.inexact.get(name, "exact")))
        for label, name, size in (
            ("arena, total", "total_bytes", arena.total_bytes),
            ("head", "head_bytes", arena.head_bytes),
            ("tail", "tail_bytes", arena.tail_bytes),
            ("smallest arena that initialises", "minimum_bytes", arena.minimum_bytes),
            ("lower bound of the head", "lower_bound_bytes", arena.lower_bound_bytes),
        )
    ]
    rows.append(("model file (flash)", describe(report.flash.model_bytes), "exact"))
    rows.append(("multiply-accumulates", f"{sum(layer.macs for layer in report.layers):,}", ""))
    return "\n".join(f"| {' | '.join(row)} |" for row in (("", "bytes", ""), ("---", "--:", "---"), *rows))


def _where(report: MemoryReport) -> str:
    return f"{report.target.id} ({report.profile.id})" if report.target else report.profile.id


def _why(report: MemoryReport) -> str:
    explanation = explain(report)
    reasons, more = explanation.most_telling(3)
    lines = []
    for reason in reasons:
        layer = report.layers[reason.layer]
        head = f"{reason.rank} {position(report, layer)} {layer.op}, {reason.live_bytes:,} bytes"
        lines.append(f"- **{plain(head)}**: {plain(reason.text)}")
    if more:
        lines.append(f"- {more} more layers with as much as the peak")
    return "\n".join([*lines, f"- {plain(explanation.plan)}"])


def _fit(report: MemoryReport) -> str:
    if report.target is None:
        return ""
    rows = [
        (
            plain(region.name),
            region.kind,
            f"{region.size_bytes:,}",
            f"{region.used_bytes:,}",
            f"{region.reserved_bytes:,}",
            "yes" if region.fits else "no",
        )
        for region in report.target.regions
    ]
    verdict = "Fits" if report.target.fits else "Does **not** fit"
    header = ("region", "kind", "bytes", "used", "reserved", "fits")
    return f"{verdict} {plain(report.target.id)}.\n\n{table(header, rows, left=2)}"
