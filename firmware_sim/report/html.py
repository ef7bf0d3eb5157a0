"""The format `html`: one page with pictures and tables."""

from __future__ import annotations

from firmware_sim.accounting import MemoryReport, TargetFit
from firmware_sim.report.arena_map import arena_map
from firmware_sim.report.labels import position
from firmware_sim.report.layer_bars import layer_bars
from firmware_sim.report.page import page, table
from firmware_sim.report.picture import safe
from firmware_sim.report.reasons import explain
from firmware_sim.report.registry import Style, register
from firmware_sim.sizes import describe


@register("html")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """Totals, arena map, why, bars per layer, tables, target and notes."""
    title = f"Memory of {report.model.path} on {report.target.id if report.target else report.profile.id}"
    parts = [
        *_header(report),
        "<h2>Arena over time</h2>",
        arena_map(report, style=False),
        *_why(report),
        "<h2>Layers</h2>",
        layer_bars(report, style=False),
        _layer_table(report),
        "<h2>Tail</h2>",
        table("Persistent allocations", ("purpose", "bytes"), [(p.name, f"{p.bytes:,}") for p in report.arena.tail], 1),
    ]
    if report.target is not None:
        parts += _target(report.target)
    if notes:
        parts += ["<h2>Notes</h2>", "<ul>", *(f"<li>{safe(note)}</li>" for note in notes), "</ul>"]
    return page(title, parts)


def _header(report: MemoryReport) -> list[str]:
    model, arena = report.model, report.arena
    about = f"{describe(model.bytes)}, {model.operators} operators, SHA-256 {model.sha256}"
    cards = [
        ("Arena, total", _size(arena.total_bytes), arena.inexact.get("total_bytes", "exact")),
        ("Head", _size(arena.head_bytes), f"lower bound {arena.lower_bound_bytes:,}"),
        ("Tail", _size(arena.tail_bytes), arena.inexact.get("tail_bytes", "exact")),
        ("Smallest arena", _size(arena.minimum_bytes), arena.inexact.get("minimum_bytes", "exact")),
        ("Multiply-accumulates", f"{sum(layer.macs for layer in report.layers):,}", "each operator once"),
    ]
    return [
        f"<h1>{safe(model.path)}</h1>",
        f'<p class="muted">{safe(f"TensorFlow Lite Micro, profile {report.profile.id}. {about}")}</p>',
        "<dl>",
        *(
            f"<div><dt>{safe(label)}</dt><dd>{safe(value)}<small>{safe(detail)}</small></dd></div>"
            for label, value, detail in cards
        ),
        "</dl>",
        *(f"<p>Not accounted for: {safe(item)}</p>" for item in arena.unmodelled),
    ]


def _why(report: MemoryReport) -> list[str]:
    explanation = explain(report)
    reasons, more = explanation.most_telling(8)
    items = []
    for reason in reasons:
        layer = report.layers[reason.layer]
        head = f"{reason.rank.capitalize()}, layer {position(report, layer)} {layer.op}, {reason.live_bytes:,} bytes"
        items.append(f"<li><strong>{safe(head)}</strong>: {safe(reason.text)}</li>")
    if more:
        items.append(f"<li>{more} more layers with as much as the peak</li>")
    return ["<h2>Why the peak is where it is</h2>", "<ul>", *items, f"<li>{safe(explanation.plan)}</li>", "</ul>"]


def _layer_table(report: MemoryReport) -> str:
    header = ("layer", "operator", "output", "alive", "scratch", "persistent", "MACs", "weights")
    rows = []
    for layer in report.layers:
        figures = (layer.live_bytes, layer.scratch_bytes, layer.persistent_bytes, layer.macs, layer.weight_bytes)
        op = f"{layer.op} (peak)" if layer.peak else layer.op
        rows.append((position(report, layer), op, layer.name, *(f"{figure:,}" for figure in figures)))
    marked = frozenset(number for number, layer in enumerate(report.layers) if layer.peak)
    return table("Bytes and multiply-accumulates of each layer", header, rows, 3, marked)


def _target(target: TargetFit) -> list[str]:
    verdict = f"Fits, {target.margin_bytes:,} bytes of RAM left." if target.fits else "Does not fit."
    rows = [
        (
            region.name,
            region.kind,
            f"{region.size_bytes:,}",
            f"{region.used_bytes:,}",
            f"{region.reserved_bytes:,}",
            "yes" if region.fits else "no",
        )
        for region in target.regions
    ]
    header = ("region", "kind", "bytes", "used", "reserved", "fits")
    return [f"<h2>Target {safe(target.id)}</h2>", f"<p>{safe(verdict)}</p>", table("Memory regions", header, rows, 2)]


def _size(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes:,}"
