"""First fit in some order: what greedy planners have in common.

    greedy          TFLM's order: largest first; of equal sizes the later one
    greedy-area     largest size times lifetime first
    greedy-long     longest in use first
    greedy-wide     most bytes to keep away from first
    greedy-time     in the order of their coming into use

Each places a block at the lowest offset that keeps its distance to the ones already placed. They are seeds for the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from firmware_sim.planners.problem import Problem

Order = Callable[[Problem], Sequence[int]]


def first_fit(problem: Problem, order: Sequence[int]) -> tuple[int, ...]:
    """Place blocks one after the other, each as low as its distances allow.

    Args:
        problem: what to place.
        order: every block once.

    Returns:
        The offset of each block.
    """
    apart = problem.apart
    offsets: dict[int, int] = {}
    for number in order:
        # Between these the block would be too near to `other`, whichever of the two is above.
        closed = sorted(
            (offsets[other] - apart[other, number], offsets[other] + apart[number, other])
            for other in problem.neighbours[number]
            if other in offsets
        )
        offset = 0
        for start, end in closed:
            if start >= offset:
                break
            offset = max(offset, end)
        # A distance may be negative, so that closed ranges do not begin in the order of their blocks.
        while any(start < offset < end for start, end in closed):
            offset = max(end for start, end in closed if start < offset < end)
        offsets[number] = offset
    return tuple(offsets[number] for number in range(len(problem.sizes_bytes)))


def _lengths(problem: Problem) -> list[int]:
    lengths = [0] * len(problem.sizes_bytes)
    for moment in problem.moments:
        for block, _ in moment:
            lengths[block] += 1
    return lengths


def _tflm(problem: Problem) -> Sequence[int]:
    sizes = problem.sizes_bytes
    return sorted(range(len(sizes)), key=lambda number: (-sizes[number], -number))


def _area(problem: Problem) -> Sequence[int]:
    lengths = _lengths(problem)
    return sorted(range(len(lengths)), key=lambda number: -lengths[number] * problem.sizes_bytes[number])


def _long(problem: Problem) -> Sequence[int]:
    lengths = _lengths(problem)
    return sorted(range(len(lengths)), key=lambda number: (-lengths[number], -problem.sizes_bytes[number]))


def _wide(problem: Problem) -> Sequence[int]:
    sizes, neighbours = problem.sizes_bytes, problem.neighbours
    return sorted(
        range(len(sizes)),
        key=lambda number: (-sizes[number] - sum(sizes[other] for other in neighbours[number]), -sizes[number]),
    )


def _time(problem: Problem) -> Sequence[int]:
    order = dict.fromkeys(block for moment in problem.moments for block, _ in moment)
    return [*order, *(number for number in range(len(problem.sizes_bytes)) if number not in order)]


ORDERS: Final[Mapping[str, Order]] = {
    "greedy": _tflm,
    "greedy-area": _area,
    "greedy-long": _long,
    "greedy-wide": _wide,
    "greedy-time": _time,
}
"""Orders by the name of the planner that uses them."""
