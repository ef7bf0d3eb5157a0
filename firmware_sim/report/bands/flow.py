"""The format `flow`: which rows of each map a band takes, layer by layer, as a picture.

Each map is a column, its rows from the top to the bottom. What one band computes has one colour; the rows that come out
wrong at a cut, and those that a neighbour computes again, lie side by side in the two halves of a column.
"""

from __future__ import annotations

from typing import Final

from firmware_sim.report.bands import BandsReport
from firmware_sim.report.picture import number, safe
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.run import BandedStage
from firmware_sim.rewrite.bands.stage import Turn

_COLUMN: Final = 64.0
_GAP: Final = 44.0
_HEIGHT: Final = 300.0
_TOP: Final = 64.0
_LEFT: Final = 24.0
_STAGE: Final = _TOP + _HEIGHT + 48.0
_COLOURS: Final = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")


def render(report: BandsReport) -> str:
    """Every stage below the other; empty but for a line of text without stages."""
    stages = report.banded.stages
    width = max((_LEFT * 2 + (stage.operators + 1) * (_COLUMN + _GAP) for stage in stages), default=480.0)
    height = _STAGE * max(len(stages), 1)
    body = "".join(_stage(stage, index * _STAGE) for index, stage in enumerate(stages))
    if not stages:
        body = f'<text x="{number(_LEFT)}" y="40">no bands: {safe(report.banded.reason)}</text>'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {number(width)} {number(height)}" '
        f'width="{number(width)}" height="{number(height)}" font-family="sans-serif" font-size="12">\n'
        f"<title>How bands of rows flow through {safe(report.banded.shrunk.before.model.path)}</title>\n"
        f'<rect width="{number(width)}" height="{number(height)}" fill="#ffffff"/>\n{body}</svg>'
    )


def _stage(stage: BandedStage, top: float) -> str:
    order = "from the bottom up" if stage.upward else "from the top down"
    title = f"{stage.rows} rows as {' + '.join(map(str, stage.heights))}, {order}"
    parts = [f'<text x="{number(_LEFT)}" y="{number(top + 20)}" font-weight="bold">{safe(title)}</text>\n']
    inner = stage.banding.stage
    tensors = [inner.source, *(layer.output for layer in inner.layers)]
    labels = ["source", *(layer.operator.op.replace("_CONV_2D", "").replace("_2D", "") for layer in inner.layers)]
    for position, (tensor, label) in enumerate(zip(tensors, labels, strict=True)):
        x = _LEFT + position * (_COLUMN + _GAP)
        rows = inner.sizes[tensor]
        parts.append(
            f'<text x="{number(x)}" y="{number(top + _TOP - 22)}">{safe(label.lower())}</text>\n'
            f'<text x="{number(x)}" y="{number(top + _TOP - 8)}" fill="#555555">{rows} rows</text>\n'
            f'<rect x="{number(x)}" y="{number(top + _TOP)}" width="{number(_COLUMN)}" height="{number(_HEIGHT)}" '
            'fill="none" stroke="#999999"/>\n'
        )
    for band, turn in enumerate(stage.banding.turns()):
        parts.append(_band(stage, band, turn, top))
    return "".join(parts)


def _band(stage: BandedStage, band: int, turn: Turn, top: float) -> str:
    inner = stage.banding.stage
    places: dict[int, Rows] = {inner.source: turn.steps[0].inputs[0]}
    for step in turn.steps:
        for index, rows in zip(step.layer.data, step.inputs, strict=True):
            if index == inner.source:
                places[index] = rows.hull(places[index])
        places[step.layer.output] = step.output
    parts = []
    for position, (index, rows) in enumerate(places.items()):
        scale = _HEIGHT / inner.sizes[index]
        x = _LEFT + position * (_COLUMN + _GAP) + (band % 2) * _COLUMN / 2
        title = f"band {band + 1}: rows {rows.start} to {rows.end - 1}"
        parts.append(
            f'<rect x="{number(x)}" y="{number(top + _TOP + rows.start * scale)}" width="{number(_COLUMN / 2)}" '
            f'height="{number(rows.height * scale)}" fill="{_COLOURS[band % len(_COLOURS)]}" fill-opacity="0.75" '
            f'stroke="#ffffff"><title>{title}</title></rect>\n'
        )
    return "".join(parts)
