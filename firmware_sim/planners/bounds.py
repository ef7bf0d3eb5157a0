"""What no planner can beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from firmware_sim.planners.base import BufferRequest

if TYPE_CHECKING:
    from firmware_sim.planners.problem import Problem


def lower_bound_bytes(requests: Sequence[BufferRequest]) -> int:
    """Largest sum of the sizes of buffers that are in use at one time; 0 without buffers."""
    change: Counter[int] = Counter()
    for request in requests:
        change[request.first] += request.size_bytes
        change[request.last + 1] -= request.size_bytes
    live = peak = 0
    for time in sorted(change):
        live += change[time]
        peak = max(peak, live)
    return peak


def overlapping_bound_bytes(problem: Problem) -> int:
    """What no plan of `problem` can beat: at each moment the bytes in use, less what allowed overlaps can share.

    Two blocks share at most what is left of the lower one above the least distance. A block shares no more than its own
    bytes in all, so the overlaps of one output with several inputs count at most its size.
    """
    return max(
        (sum(count for _, count in moment) - _shared_bytes(problem, dict(moment)) for moment in problem.moments),
        default=0,
    )


def _shared_bytes(problem: Problem, live: Mapping[int, int]) -> int:
    shared: dict[tuple[int, int], int] = {}
    for one in live:
        for other in problem.neighbours[one]:
            if other in live and one < other:
                count = min(live[one], live[other], _room(problem, one, other))
                if count > 0:
                    shared[one, other] = count
    degrees = Counter(block for pair in shared for block in pair)
    stars: Counter[int] = Counter()
    for pair, count in shared.items():
        stars[max(pair, key=lambda block: (degrees[block], block))] += count
    return sum(min(live[centre], count) for centre, count in stars.items())


def _room(problem: Problem, one: int, other: int) -> int:
    sizes, apart = problem.sizes_bytes, problem.apart
    return max(sizes[other] - apart[one, other], sizes[one] - apart[other, one])
