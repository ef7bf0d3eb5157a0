"""Choices that differ a little from one that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from firmware_sim.memory.elements import round_up
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import LOOP
from firmware_sim.rewrite.bands.propose import Proposer


def neighbours(proposer: Proposer, bandings: tuple[Banding, ...], limit_bytes: int) -> Iterator[tuple[Banding, ...]]:
    """Choices that differ in one stage.

    Args:
        proposer: of the draft.
        bandings: the stages, in their order.
        limit_bytes: for stages with other layers.
    """
    for number, banding in enumerate(bandings):
        before, after = bandings[:number], bandings[number + 1 :]
        for changed in _variants(proposer, banding, limit_bytes):
            if not _share_layers((*before[-1:], changed, *after[:1])):
                yield (*before, changed, *after)
        yield (*before, *after)


def _variants(proposer: Proposer, banding: Banding, limit_bytes: int) -> Iterator[Banding]:
    """Other heights, another order, wrong rows cut off elsewhere, a longer or shorter stage."""
    heights = banding.heights
    yield from _restaged(proposer, banding, limit_bytes)
    if banding.lines:  # not all heights are possible
        return
    yield replace(banding, heights=heights[::-1], upward=not banding.upward)
    rolled = replace(banding, in_loops=not banding.in_loops)
    if any(map(proposer.pricer.loops, (banding, rolled))):
        yield rolled
    for index in banding.stage.trimmable:
        yield replace(banding, trimmed=banding.trimmed ^ {index})
    for number in range(len(heights) - 1 if len(heights) > 2 else 0):
        merged = (*heights[:number], heights[number] + heights[number + 1], *heights[number + 2 :])
        yield replace(banding, heights=merged)
    for step in (1, 2, 4):
        for one, other in _pairs(len(heights)):
            if heights[one] > step:
                moved = list(heights)
                moved[one] -= step
                moved[other] += step
                yield replace(banding, heights=tuple(moved))


def _restaged(proposer: Proposer, banding: Banding, limit_bytes: int) -> Iterator[Banding]:
    """A longer or shorter stage in either order."""
    for first, last in _moved(proposer, banding):
        for upward in (banding.upward, not banding.upward):
            for choice in proposer.options(first, last, round_up(limit_bytes), upward, proposer.pricer.form == LOOP):
                yield from choice.bandings


def _moved(proposer: Proposer, banding: Banding) -> Iterator[tuple[int, int]]:
    """First and last operators of the stage, and of those that begin or end at a neighbouring cut."""
    positions = proposer.positions
    first, end = positions.index(banding.stage.first), positions.index(banding.stage.last + 1)
    for start, stop in ((first, end), (first - 1, end), (first + 1, end), (first, end - 1), (first, end + 1)):
        if 0 <= start < stop < len(positions):
            yield positions[start], positions[stop] - 1


def alike(bandings: tuple[Banding, ...], in_loops: bool) -> Iterator[tuple[Banding, ...]]:
    """The same stages in even bands; and with all loops that there can be, whose tail may pay for a head above the limit."""
    yield tuple(map(_even, bandings))
    if in_loops:
        yield tuple(replace(one, in_loops=True) for one in bandings)


def _even(banding: Banding) -> Banding:
    """As many bands, of about one height: where the limit leaves room, these leave less of it between them."""
    if banding.lines:
        return banding
    count, rows = len(banding.heights), banding.stage.rows
    edges = [rows * number // count for number in range(count + 1)]
    return replace(banding, heights=tuple(end - start for start, end in pairwise(edges)))


def _share_layers(bandings: Sequence[Banding]) -> bool:
    return any(one.stage.last >= other.stage.first for one, other in pairwise(bandings))


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    for number in range(count - 1):
        yield number, number + 1
        yield number + 1, number
