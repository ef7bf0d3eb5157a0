"""The picture of a comparison: how much noise each layer's output has, and how much of it is the layer's own."""

from __future__ import annotations

from collections.abc import Iterator

from exporters.compare.result import Comparison, LayerError
from exporters.compare.words import WORST, decibels
from firmware_sim.report.labels import shorten
from firmware_sim.report.picture import legend, line, picture, rectangle, text

_WIDTH = 960
_TOP, _ROW, _BAR = 84, 20, 13
_LEFT, _LONGEST = 330, 520
_STEP = 10  # dB between the lines of the grid
_LEAST_AXIS = 50


def bars(comparison: Comparison, name: str, *, style: bool = True) -> str:
    """One SVG element, a row per layer; a longer bar is a cleaner signal.

    Args:
        comparison: what to draw.
        name: what to call the model.
        style: put the colours inside, for a file of its own.
    """
    known = [layer.sqnr_db for layer in comparison.layers if layer.sqnr_db is not None]
    axis = _STEP * -(-max([_LEAST_AXIS, *known]) // _STEP)
    marked = {layer.index for layer in comparison.worst(WORST)}
    height = _TOP + _ROW * len(comparison.layers) + 12
    parts = [
        text(16, 28, "Signal to quantisation noise", "heading"),
        *legend(16, 50, (("output", "output, against float"), ("at-peak", "loses most by itself"))),
    ]
    for mark in range(0, int(axis) + 1, _STEP):
        x = _LEFT + _LONGEST * mark / axis
        parts += [line(x, _TOP - 6, x, height - 8, "grid"), text(x, _TOP - 12, f"{mark} dB", "muted", "middle")]
    for row, layer in enumerate(comparison.layers):
        parts += _row(layer, _TOP + row * _ROW, axis, layer.index in marked)
    description = f"{len(comparison.layers)} layers, signal to quantisation noise of each output in dB."
    return picture(parts, _WIDTH, height, "layer-errors", f"Int8 against float in {name}", description, style)


def _row(layer: LayerError, top: float, axis: float, worst: bool) -> Iterator[str]:
    base = top + _BAR - 2
    yield text(16, base, shorten(f"{layer.index} {layer.op} {layer.place}", 46), "marker" if worst else "")
    if layer.sqnr_db is None:
        yield text(_LEFT + 6, base, "-", "muted")
        return
    length = _LONGEST * max(layer.sqnr_db, 0.0) / axis
    figures = f"{decibels(layer.sqnr_db)}, by itself {decibels(layer.own_sqnr_db)}"
    classes = "bar at-peak" if worst else "bar output"
    yield rectangle(_LEFT, top, max(length, 1.0), _BAR, classes, f"{layer.output}: {figures}")
    yield text(_LEFT + length + 6, base, decibels(layer.sqnr_db), "marker" if worst else "muted")
