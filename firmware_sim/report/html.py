"""The format `html`: one page with pictures and tables that loads nothing and runs nothing.

It is written as XHTML would be, so that any XML parser can check it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from firmware_sim.accounting import MemoryReport, TargetFit
from firmware_sim.report.arena_map import arena_map
from firmware_sim.report.labels import position
from firmware_sim.report.layer_bars import layer_bars
from firmware_sim.report.picture import STYLE, safe
from firmware_sim.report.reasons import explain
from firmware_sim.report.registry import Style, register
from firmware_sim.sizes import describe

_PAGE_STYLE: Final = """
:root{color-scheme:light dark;--text:#1f2328;--muted:#59636e;--surface:#ffffff;--card:#f6f8fa;--line:#d1d9e0;--mark:#bc4c00}
@media (prefers-color-scheme:dark){
:root{--text:#e6edf3;--muted:#9ea7b3;--surface:#0d1117;--card:#161b22;--line:#3d444d;--mark:#f0a068}}
body{margin:0 auto;padding:24px;max-width:960px;background:var(--surface);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:24px;margin:0;overflow-wrap:anywhere}
h2{font-size:18px;margin:36px 0 8px}
p,li{max-width:78ch;overflow-wrap:anywhere}
.muted{color:var(--muted)}
dl{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}
dl div{flex:1 1 150px;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
dt{color:var(--muted);font-size:13px}
dd{margin:0;font-size:20px;font-weight:600}
dd small{display:block;color:var(--muted);font-size:12px;font-weight:400}
.scroll{overflow-x:auto}
.picture{max-width:100%;height:auto;border:1px solid var(--line);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);padding:4px 0}
th,td{border-bottom:1px solid var(--line);padding:4px 8px;text-align:right;white-space:nowrap}
th{color:var(--muted);font-weight:600}
.word{text-align:left}
.name{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:160px}
tr.peak td{color:var(--mark);font-weight:600}
"""


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


def page(title: str, body: Iterable[str], *, style: str = "") -> str:
    """A page of XHTML around `body`, with the colours of the pictures and further `style`."""
    head = [
        "<!DOCTYPE html>",
        '<html lang="en" xmlns="http://www.w3.org/1999/xhtml">',
        "<head>",
        '<meta charset="utf-8" />',
        '<meta name="viewport" content="width=device-width, initial-scale=1" />',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\" />",
        f"<title>{safe(title)}</title>",
        f"<style>{_PAGE_STYLE}{STYLE}{style}</style>",
        "</head>",
        "<body>",
        "<main>",
    ]
    return "\n".join([*head, *body, "</main>", "</body>", "</html>"])


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


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], words: int, marked: frozenset[int] = frozenset()
) -> str:
    """A table whose first `words` columns are text, the third of them a tensor's name."""
    classes = [
        (' class="name"' if column == 2 else ' class="word"') if column < words else "" for column in range(len(header))
    ]
    head = "".join(f'<th scope="col"{kind}>{safe(cell)}</th>' for kind, cell in zip(classes, header, strict=True))
    lines = ['<div class="scroll">', "<table>", f"<caption>{safe(caption)}</caption>"]
    lines += [f"<thead><tr>{head}</tr></thead>", "<tbody>"]
    for number, row in enumerate(rows):
        cells = "".join(f"<td{kind}>{safe(cell)}</td>" for kind, cell in zip(classes, row, strict=True))
        lines.append(f'<tr class="peak">{cells}</tr>' if number in marked else f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>", "</div>"])


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
