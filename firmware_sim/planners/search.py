"""Exact search: which is the least number of bytes for which there is a plan?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware_sim.planners.learning import Pairs, Tree
from firmware_sim.planners.problem import Problem

_LEAST_STEPS: Final = 400
"""Contradictions that are looked into however little time there is; nearly all plans of real networks take fewer."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ended with: the best offsets that it knows, and a peak that no plan can be below."""

    offsets: tuple[int, ...]
    bound_bytes: int


def search(
    problem: Problem, offsets: Sequence[int], bound_bytes: int, *, time_s: float, below_bytes: int | None = None
) -> Found:
    """Lower a plan and raise its bound until they meet or the time is over.

    A distance below zero says that a block may even begin so far below the other; where both orders allow enough of
    that, the pair decides nothing.

    Args:
        problem: what to place.
        offsets: a valid plan.
        bound_bytes: a peak that no plan is below.
        time_s: when to stop, in seconds of processor time: a busy machine gives the same plan. With 0 the search takes some
            steps and gives up, always after the same ones.
        below_bytes: plans that are not below this are not looked for; the bound does not rise above it either.
    """
    end = time.thread_time() + time_s
    best = tuple(offsets)
    pairs, step = Pairs(problem), problem.step_bytes
    low, high = -(-bound_bytes // step), problem.peak_bytes(best) // step
    if below_bytes is not None:
        high = max(min(high, -(-below_bytes // step)), low)
    low = _by_propagation(pairs, step, low, high)
    # First the bound itself, which is most often reached; then halves.
    target, left = low, _LEAST_STEPS
    while low < high:
        tree = Tree(pairs, target * step)
        found = tree.run(end, left)
        left -= tree.contradictions
        if found == "unknown":
            break
        if found == "none":
            low = target + 1
        else:
            best = found
            high = problem.peak_bytes(best) // step
        target = (low + high) // 2
    return Found(best, low * step)


def _by_propagation(pairs: Pairs, step: int, low: int, high: int) -> int:
    """Raise the bound to the least peak that the ranges alone do not rule out."""
    while low < high:
        middle = (low + high) // 2
        if Tree(pairs, middle * step).is_hopeless():
            low = middle + 1
        else:
            high = middle
    return low
