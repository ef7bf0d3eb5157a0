"""Rows that stay from one band to the next (line buffers), so that no layer computes a row twice.

A band of a stage then computes of each map only the rows that no band before it has computed. In front of these lie the rows
that windows read once more: they were kept. What a layer computes beside that are the rows at the ends of what it is
given, whose windows reach over it; nothing reads them. Bands go from the top to the bottom.
"""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim.errors import InternalError
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.stage import Stage, Step, Turn


def turns(stage: Stage, heights: Sequence[int], again: frozenset[int] = frozenset()) -> tuple[Turn, ...] | None:
    """All bands of a stage with rows that stay.

    Args:
        stage: the stage.
        heights: rows of its result per band, from the top to the bottom.
        again: maps of which no rows stay: those that are read once more are computed once more.

    Returns:
        None where that cannot be: a layer would have nothing to compute in some band, or need rows that are gone.
    """
    key = tuple(heights), again
    if key not in stage.turned:
        stage.turned[key] = _turns(stage, *key)
    return stage.turned[key]


def _turns(stage: Stage, heights: Sequence[int], again: frozenset[int]) -> tuple[Turn, ...] | None:
    done = dict.fromkeys(stage.sizes, 0)
    there = dict.fromkeys(stage.sizes, 0)  # first row of what the band before has of a map
    found = []
    end = 0
    for height in heights:
        end += height
        turn = _turn(stage, end, again, done, there)
        if turn is None:
            return None
        found.append(turn)
    return tuple(found)


def _turn(stage: Stage, end: int, again: frozenset[int], done: dict[int, int], there: dict[int, int]) -> Turn | None:
    """The band that ends at a row of the result; `done` and `there` become those behind it."""
    ends = {stage.result: end}
    starts: dict[int, int] = {}
    steps: list[Step] = []
    computed: dict[int, Rows] = {}
    for one in reversed(stage.layers):
        start = done[one.output]
        if one.output in again:
            start = min(start, starts.get(one.output, start))
        new = Rows(start, max(ends[one.output], start))
        if not new.height:
            return None
        band = one.reach.band(new)
        output = one.reach.computed(band)
        if output is None or not output.holds(new):
            return None
        if not one.reach.right(band).holds(new):
            raise InternalError(f"operator {one.operator.index} would compute wrong rows for a band")
        steps.append(Step(one, (band,) * len(one.data), output))
        computed[one.output] = new
        for index in one.data:
            ends[index] = max(ends.get(index, 0), band.end)
            starts[index] = min(starts.get(index, band.start), band.start)
    kept = {}
    for index, new in computed.items():
        start = min(starts.get(index, new.start), new.start)
        if index != stage.result and start < new.start:
            if start < there[index]:
                return None
            kept[index] = Rows(start, new.start)
        there[index], done[index] = start, new.end
    return Turn(tuple(reversed(steps)), kept)
