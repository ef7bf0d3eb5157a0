"""Which bands are alike but for their place, so that a loop can compute them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.stage import Shape, Stage, Turn

if TYPE_CHECKING:
    from firmware_sim.rewrite.bands.build import Banding

_LEAST_LOOPS: Final = 3


def repeated(banding: Banding) -> tuple[range, ...]:
    """Runs of bands of one shape that move on by the same rows, as positions in the order of computing.

    Those of at least three bands: a loop has operators of its own.
    """
    heights = banding.heights
    if all(len(set(heights[number : number + _LEAST_LOOPS])) > 1 for number in range(len(heights) - _LEAST_LOOPS + 1)):
        return ()
    shapes = list(_shapes(banding))
    runs = []
    start = 0
    for number in range(1, len(shapes) + 1):
        is_same = number < len(shapes) and shapes[number][0] == shapes[start][0]
        moves = [other[1] - one[1] for one, other in pairwise(shapes[start : number + is_same])]
        if not is_same or len(set(moves)) > 1:
            if number - start >= _LEAST_LOOPS:
                runs.append(range(start, number))
            start = number
    return tuple(runs)


def _shapes(banding: Banding) -> Iterator[Shape]:
    stage = banding.stage
    found = banding.turns(is_checked=False)
    for number, (wanted, turn) in enumerate(zip(banding.bands, found, strict=True)):
        if banding.lines:
            yield _shape(stage, wanted, turn, found[number + 1].kept if number + 1 < len(found) else {})
            continue
        key = wanted, banding.trimmed
        if key not in stage.shaped:
            stage.shaped[key] = _shape(stage, wanted, turn, {})
        yield stage.shaped[key]


def _shape(stage: Stage, wanted: Rows, turn: Turn, following: Mapping[int, Rows]) -> Shape:
    """The shape of a band; `following` are rows that it leaves to the next one."""
    base = min(
        rows.start
        for step in turn.steps
        for index, rows in zip(step.layer.data, step.inputs, strict=True)
        if index == stage.source
    )
    begins = {stage.source: base, **{index: rows.start for index, rows in turn.kept.items()}}
    shape: list[int] = [wanted.height]
    for step in turn.steps:
        for index, rows in zip(step.layer.data, step.inputs, strict=True):
            shape += [rows.start - begins[index], rows.height, *step.layer.borders(rows)]
        output = step.layer.output
        begin = begins.setdefault(output, step.output.start)
        after = following.get(output, Rows(begin, begin))
        shape += [step.output.start - begin, step.output.height, after.start - begin, after.height]
        if output in turn.kept:
            shape.append(turn.kept[output].height)
    shape.append(wanted.start - begins[stage.result])
    return tuple(shape), base
