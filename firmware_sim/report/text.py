"""The format `text`: a page of tables for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from firmware_sim.accounting import MemoryReport, RegionFit, TargetFit
from firmware_sim.report.labels import position, printable, shorten
from firmware_sim.report.reasons import explain
from firmware_sim.report.registry import Style, register
from firmware_sim.sizes import describe

__all__ = ["paint", "peak_tables", "printable", "render"]

_BOLD, _RED, _GREEN = "1", "31", "32"
# Columns of alive, scratch, persistent, and of MACs and weights where the terminal has room for them.
_FIGURES = (10, 9, 10, 13, 11)
_WIDE = 130
_MOST_PEAKS = 3


@register("text")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """Header, arena, layers with the peak, what is alive there, the target, notes."""
    parts = [_header(report, style), _arena(report), _layers(report, style), peak_tables(report, style.width)]
    if report.target is not None:
        parts.append(_target(report.target, report.arena.exact, style))
    parts.append([textwrap.fill(f"note: {printable(note)}", style.width, subsequent_indent="      ") for note in notes])
    return "\n\n".join("\n".join(part) for part in parts if part)


def peak_tables(report: MemoryReport, width: int) -> list[str]:
    """The peak layers: why, and the buffers that are alive there with their offsets in the arena. Then the runner-up."""
    explanation = explain(report)
    peaks = [reason for reason in explanation.layers if reason.rank == "peak"]
    lines = []
    for reason in peaks[:_MOST_PEAKS]:
        layer = report.layers[reason.layer]
        lines.append(f"peak at layer {position(report, layer)} {layer.op}: {describe(layer.live_bytes)} alive")
        lines += _wrapped(f"  why: {reason.text}", width, "       ")
        lines.append(f"  {'offset':>10}  {'bytes':>10}  buffer")
        lines += [f"  {live.offset:>10,}  {live.bytes:>10,}  {shorten(live.tensor, width - 26)}" for live in layer.live]
    if peaks[_MOST_PEAKS:]:
        others = ", ".join(position(report, report.layers[reason.layer]) for reason in peaks[_MOST_PEAKS:])
        lines += _wrapped(f"as much at layers {others}", width, "  ")
    for reason in [reason for reason in explanation.layers if reason.rank == "runner-up"][:1]:
        layer = report.layers[reason.layer]
        text = f"next is layer {position(report, layer)} {layer.op} with {layer.live_bytes:,} bytes: {reason.text}"
        lines += _wrapped(text, width, "  ")
    if peaks and report.arena.gap_bytes:
        lines += _wrapped(explanation.plan, width, "  ")
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(printable(text), width, subsequent_indent=indent)


def paint(text: str, code: str, style: Style) -> str:
    """`text` in a terminal colour, if the style has colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if style.colour else text


def _header(report: MemoryReport, style: Style) -> list[str]:
    model, profile = report.model, report.profile
    kernels = "reference kernels" if profile.kernels == "reference" else f"CMSIS-NN kernels ({profile.isa})"
    lines = [
        paint(printable(model.path), _BOLD, style),
        f"  model    {describe(model.bytes)}, {model.operators} operators, {model.subgraphs} subgraph"
        f"{'s' if model.subgraphs > 1 else ''}",
        f"  compute  {sum(layer.macs for layer in report.layers):,} multiply-accumulates",
        f"  sha256   {model.sha256}",
        f"  profile  {profile.id}: {kernels}, {8 * profile.pointer_bytes}-bit",
    ]
    if report.target is not None:
        lines.append(f"  target   {report.target.id}")
    return lines


def _arena(report: MemoryReport) -> list[str]:
    arena = report.arena
    rows = [
        ("total", "total_bytes", arena.total_bytes),
        ("head", "head_bytes", arena.head_bytes),
        ("tail", "tail_bytes", arena.tail_bytes),
        ("minimum", "minimum_bytes", arena.minimum_bytes),
    ]
    lines = ["arena"]
    for label, name, size in rows:
        why = arena.inexact.get(name)
        state = f"not exact: {why}" if why else "exact"
        shown = "unknown" if size is None else describe(size)
        lines.append(f"  {label:<8} {shown:<32} {state}")
    if arena.gap_bytes < 0:
        lines.append(
            f"  the model's own plan lets buffers overlap: without that, {arena.lower_bound_bytes:,} bytes at least"
        )
    else:
        gap = f"this {arena.planner} plan has {arena.gap_bytes:,} more" if arena.gap_bytes else "this plan meets that"
        lines.append(f"  no plan can have a head below {arena.lower_bound_bytes:,} bytes; {gap}")
    lines += [f"  not accounted for: {printable(item)}" for item in arena.unmodelled]
    lines += ["tail"] + [f"  {part.bytes:>10,}  {printable(part.name)}" for part in arena.tail] if arena.tail else []
    return lines


def _layers(report: MemoryReport, style: Style) -> list[str]:
    if not report.layers:
        return ["no layers"]
    most = max(layer.live_bytes for layer in report.layers)
    columns = _columns(report, style.width)
    lines = [columns.row(" ", "layer", "operator", ("alive", "scratch", "persistent", "MACs", "weights"), "output", "")]
    for layer in report.layers:
        line = columns.row(
            ">" if layer.peak else " ",
            position(report, layer),
            layer.op,
            (
                f"{layer.live_bytes:,}{'*' if layer.inexact else ''}",
                f"{layer.scratch_bytes:,}",
                f"{layer.persistent_bytes:,}",
                f"{layer.macs:,}",
                f"{layer.weight_bytes:,}",
            ),
            layer.name,
            "#" * round(columns.bar * layer.live_bytes / most) if most else "",
        )
        lines.append(paint(line, _BOLD, style) if layer.peak else line)
    reasons = dict.fromkeys(reason for layer in report.layers for reason in layer.inexact.values())
    return lines + [f"  * not exact: {printable(reason)}" for reason in reasons]


class _Columns(NamedTuple):
    """Widths of the columns; `name` is 0 where there is no room for it, `figures` has as many as there is room for."""

    position: int
    op: int
    figures: tuple[int, ...]
    name: int
    bar: int

    def row(self, mark: str, position: str, op: str, figures: Sequence[str], name: str, bar: str) -> str:
        cells = [f"{position:>{self.position}}", f"{shorten(op, self.op):<{self.op}}"]
        cells += [f"{figure:>{width}}" for figure, width in zip(figures, self.figures, strict=False)]
        if self.name:
            cells.append(f"{shorten(name, self.name):<{self.name}}")
        return f"{mark} {'  '.join([*cells, bar])}".rstrip()


def _columns(report: MemoryReport, width: int) -> _Columns:
    digits = max(5, *(len(position(report, layer)) for layer in report.layers))
    op = min(24, max(8, *(len(layer.op) for layer in report.layers)))
    bar = 20 if width >= 100 else 10
    figures = _FIGURES if width >= _WIDE else _FIGURES[:3]
    # The mark, and two columns between what stands side by side.
    taken = 2 + digits + 2 + op + sum(2 + figure for figure in figures) + 4 + bar
    return _Columns(digits, op, figures, width - taken if width - taken >= 8 else 0, bar)


def _target(target: TargetFit, exact: bool, style: Style) -> list[str]:
    if target.fits:
        verdict, colour = f"fits {target.id}, {describe(target.margin_bytes)} left", _GREEN
    elif target.margin_bytes < 0:
        verdict, colour = f"does not fit {target.id}, {describe(-target.margin_bytes)} too much for the arena", _RED
    else:
        verdict, colour = f"does not fit {target.id}, the model file is too large for its flash", _RED
    if not exact:
        verdict += " (by figures that are not exact)"
    return [
        paint(verdict, colour, style),
        f"  {'region':<16} {'kind':<6} {'size':>11} {'used':>11} {'reserved':>11}",
        *map(_region, target.regions),
    ]


def _region(region: RegionFit) -> str:
    share = (
        f"{100 * (region.used_bytes + region.reserved_bytes) / region.size_bytes:.0f} %" if region.size_bytes else ""
    )
    figures = f"{region.size_bytes:>11,} {region.used_bytes:>11,} {region.reserved_bytes:>11,}"
    return f"  {region.name:<16} {region.kind:<6} {figures} {share:>6}{'' if region.fits else '  too small'}"
