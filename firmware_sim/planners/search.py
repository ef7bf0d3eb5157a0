"""Exact search: is there a plan of at most so many bytes, and which is the least such number?

Every block has a lowest and a highest offset. A pair of blocks of which only one order is still possible narrows these
ranges; the search decides the order of a pair that the lowest offsets violate, the one with the least freedom first, and
goes back when a range is empty. This is the branch and bound of disjunctive scheduling (Carlier and Pinson 1989, "An
Algorithm for Solving the Job-Shop Problem"), with offsets for times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from firmware_sim.planners.problem import Problem

_NEVER: Final = 1 << 60  # a distance that rules an order out
_CHECK_EVERY: Final = 64  # nodes between looks at the clock


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
        time_s: when to stop, in seconds of processor time: a busy machine gives the same plan.
        below_bytes: plans that are not below this are not looked for; the bound does not rise above it either.
    """
    end = time.thread_time() + time_s
    best = tuple(offsets)
    step = problem.step_bytes
    low, high = -(-bound_bytes // step), problem.peak_bytes(best) // step
    if below_bytes is not None:
        high = max(min(high, -(-below_bytes // step)), low)
    low = _by_propagation(problem, low, high)
    # First the bound itself, which is most often reached; then halves.
    target = low
    while low < high:
        found = _Tree(problem, target * step).run(end)
        if found == "unknown":
            break
        if found == "none":
            low = target + 1
        else:
            best = found
            high = problem.peak_bytes(best) // step
        target = (low + high) // 2
    return Found(best, low * step)


def _by_propagation(problem: Problem, low: int, high: int) -> int:
    """Raise the bound to the least peak that the ranges alone do not rule out."""
    while low < high:
        middle = (low + high) // 2
        if _Tree(problem, middle * problem.step_bytes).is_hopeless():
            low = middle + 1
        else:
            high = middle
    return low


@dataclass(slots=True)
class _Tree:
    problem: Problem
    peak_bytes: int
    low: list[int] = field(init=False)
    high: list[int] = field(init=False)
    apart: list[dict[int, int]] = field(init=False)
    trail: list[tuple[list[int] | dict[int, int], int, int]] = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.problem.sizes_bytes)
        self.low = [0] * count
        self.high = [self.peak_bytes - size for size in self.problem.sizes_bytes]
        self.apart = [{} for _ in range(count)]
        for (upper, lower), distance in self.problem.apart.items():
            self.apart[upper][lower] = distance
        self.trail = []

    def is_hopeless(self) -> bool:
        """The ranges alone show that there is no plan."""
        return min(self.high, default=0) < 0 or not self.narrow(list(range(len(self.low))))

    def set(self, where: list[int] | dict[int, int], index: int, value: int) -> None:
        self.trail.append((where, index, where[index]))
        where[index] = value

    def undo(self, mark: int) -> None:
        while len(self.trail) > mark:
            where, index, value = self.trail.pop()
            where[index] = value

    def narrow(self, changed: list[int]) -> bool:
        """Narrow ranges until nothing changes; False if one is empty."""
        low, high, apart = self.low, self.high, self.apart
        waiting = set(changed)
        while waiting:
            one = waiting.pop()
            for other, distance in apart[one].items():
                above = high[one] - low[other] >= distance
                below = high[other] - low[one] >= apart[other][one]
                if above and below:
                    continue
                if above:
                    upper, lower = one, other
                elif below:
                    upper, lower, distance = other, one, apart[other][one]
                else:
                    return False
                if low[lower] + distance > low[upper]:
                    self.set(low, upper, low[lower] + distance)
                    waiting.add(upper)
                if high[upper] - distance < high[lower]:
                    self.set(high, lower, high[upper] - distance)
                    waiting.add(lower)
        return True

    def run(self, end: float) -> tuple[int, ...] | Literal["none", "unknown"]:
        """Offsets of a plan within the peak, "none" if there is none, "unknown" when the time is over."""
        if self.is_hopeless():
            return "none"
        pairs = _Pairs(self.problem)
        choices: list[tuple[int, int, int]] = []  # trail mark, and the order that is still to be tried
        nodes = 0
        while True:
            pair = pairs.tightest(self.low, self.high)
            if pair is None:
                return tuple(self.low)
            nodes += 1
            if nodes % _CHECK_EVERY == 0 and time.thread_time() > end:
                return "unknown"
            upper, lower = pair
            choices.append((len(self.trail), lower, upper))
            alive = self.decide(upper, lower)
            while not alive:
                if not choices:
                    return "none"
                mark, upper, lower = choices.pop()
                self.undo(mark)
                alive = self.decide(upper, lower)

    def decide(self, upper: int, lower: int) -> bool:
        self.set(self.apart[lower], upper, _NEVER)
        return self.narrow([upper])


class _Pairs:
    """The pairs of a problem as arrays."""

    def __init__(self, problem: Problem) -> None:
        pairs = [(one, other) for one, other in problem.apart if one < other]
        self.one = np.array([one for one, _ in pairs], np.int64)
        self.other = np.array([other for _, other in pairs], np.int64)
        self.above = np.array([problem.apart[pair] for pair in pairs], np.int64)
        self.below = np.array([problem.apart[other, one] for one, other in pairs], np.int64)

    def tightest(self, lows: list[int], highs: list[int]) -> tuple[int, int] | None:
        """Of the pairs that the lowest offsets violate the one with the least freedom, the likelier upper one first."""
        low, high = np.array(lows, np.int64), np.array(highs, np.int64)
        violated = (low[self.one] < low[self.other] + self.above) & (low[self.other] < low[self.one] + self.below)
        (places,) = np.nonzero(violated)
        if not len(places):
            return None
        one, other = self.one[places], self.other[places]
        above = high[one] - low[other] - self.above[places]
        below = high[other] - low[one] - self.below[places]
        place = int(np.argmin(np.minimum(above, below) + np.maximum(above, below) // 4))
        pair = int(one[place]), int(other[place])
        return pair if above[place] >= below[place] else (pair[1], pair[0])
