"""Bars per layer: what is alive, by what it is to the layer, beside the work and the weights."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.accounting import LayerUse, MemoryReport
from firmware_sim.report.labels import position, shorten
from firmware_sim.report.picture import legend, picture, rectangle, text

_WIDTH = 960
_TOP, _ROW, _BAR = 84, 20, 13
_LABEL = 196
_LIVE, _MACS, _WEIGHTS = (_LABEL, 330), (634, 80), (812, 64)  # left edge and longest bar
_COLUMNS = ("bytes alive", "multiply-accumulates", "weight bytes")
_ROLES = ("output", "input", "scratch", "waiting")


def layer_bars(report: MemoryReport, *, style: bool = True) -> str:
    """The bars as one SVG element, a row per layer; each column has its own scale.

    Args:
        report: what to draw.
        style: put the colours inside, for a file of its own.
    """
    most = (
        max([1, *(layer.live_bytes for layer in report.layers)]),
        max([1, *(layer.macs for layer in report.layers)]),
        max([1, *(layer.weight_bytes for layer in report.layers)]),
    )
    edges = (_LIVE[0], _MACS[0], _WEIGHTS[0])
    height = _TOP + _ROW * len(report.layers) + 12
    parts = [
        text(16, 28, "Layers", "heading"),
        *legend(16, 50, tuple((role, role) for role in _ROLES)),
        *(text(left, _TOP - 12, word, "muted") for left, word in zip(edges, _COLUMNS, strict=True)),
    ]
    for row, layer in enumerate(report.layers):
        parts += _row(report, layer, _TOP + row * _ROW, most)
    description = f"{len(report.layers)} layers; the table below has the same figures."
    return picture(parts, _WIDTH, height, "layer-bars", f"Layers of {report.model.path}", description, style)


def _row(report: MemoryReport, layer: LayerUse, top: float, most: tuple[int, int, int]) -> Iterator[str]:
    base = top + _BAR - 2
    name = f"{position(report, layer)} {layer.op}"
    yield text(16, base, shorten(f"{name} (peak)" if layer.peak else name, 28), "marker" if layer.peak else "")
    left, width = float(_LIVE[0]), _LIVE[1]
    for role in _ROLES:
        held = [entry for entry in layer.live if entry.role == role]
        size = sum(entry.bytes for entry in held)
        if size:
            length = width * size / most[0]
            names = ", ".join(shorten(entry.tensor, 60) for entry in held[:4])
            title = f"{role}: {size:,} bytes ({names}{', ...' if held[4:] else ''})"
            yield rectangle(left, top, length, _BAR, f"bar {role}", title)
            left += length
    yield text(left + 6, base, f"{layer.live_bytes:,}", "marker" if layer.peak else "muted")
    for (edge, longest), classes, count, largest in (
        (_MACS, "macs", layer.macs, most[1]),
        (_WEIGHTS, "weights", layer.weight_bytes, most[2]),
    ):
        if count:
            length = longest * count / largest
            yield rectangle(edge, top, length, _BAR, f"bar {classes}", f"{name}: {count:,}")
            yield text(edge + length + 6, base, f"{count:,}", "muted")
