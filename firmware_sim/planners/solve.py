"""The best plan that can be had in a given time, whoever finds it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from firmware_sim.errors import InternalError
from firmware_sim.planners import cpsat
from firmware_sim.planners.bounds import overlapping_bound_bytes
from firmware_sim.planners.first_fit import ORDERS, first_fit
from firmware_sim.planners.problem import Problem
from firmware_sim.planners.search import Found, search

# Most problems of real networks take our own search a few milliseconds; what it has not solved by then is left to CP-SAT.
_SEARCH_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Solution:
    """A plan.

    Attributes:
        offsets: of each block.
        peak_bytes: where the plan ends.
        bound_bytes: no plan ends below it.
        planner: who found it: a name of `first_fit.ORDERS`, "search" or "cp-sat".
        seconds: how long it took.
    """

    offsets: tuple[int, ...]
    peak_bytes: int
    bound_bytes: int
    planner: str
    seconds: float

    @property
    def is_optimal(self) -> bool:
        """No plan is better."""
        return self.peak_bytes == self.bound_bytes


def greedy(problem: Problem, planner: str, bound_bytes: int | None = None) -> Solution:
    """The plan of one greedy planner, with a bound that is known or the one that costs little."""
    start = time.monotonic()
    offsets = first_fit(problem, ORDERS[planner](problem))
    if bound_bytes is None:
        bound_bytes = overlapping_bound_bytes(problem)
    return _checked(problem, Found(offsets, bound_bytes), planner, start)


def solve(
    problem: Problem, *, time_s: float = 1.0, use_cpsat: bool | None = None, below_bytes: int | None = None
) -> Solution:
    """The best of all greedy planners, made better by exact search.

    Args:
        problem: what to place.
        time_s: when to stop searching; the greedy planners are not counted. With 0 the search takes some steps and gives
            up, always after the same ones, and CP-SAT is not asked.
        use_cpsat: ask CP-SAT as well; by default where it is installed.
        below_bytes: a peak that is had already: nothing is searched where no plan can be below it.

    Raises:
        UsageError: CP-SAT is asked for and not installed.
    """
    start = time.monotonic()
    bound_bytes = overlapping_bound_bytes(problem)
    best: Solution | None = None
    for name in ORDERS:
        found = greedy(problem, name, bound_bytes)
        if best is None or found.peak_bytes < best.peak_bytes:
            best = found
        if best.is_optimal:
            break
    assert best is not None
    with_cpsat = time_s > 0 and (cpsat.is_installed() if use_cpsat is None else use_cpsat)
    solvers: list[tuple[str, Callable[..., Found], float]] = [
        ("search", partial(search, below_bytes=below_bytes), time_s * (_SEARCH_SHARE if with_cpsat else 1))
    ]
    if with_cpsat:
        solvers.append(("cp-sat", cpsat.cpsat, time_s * (1 - _SEARCH_SHARE)))
    for name, solver, seconds in solvers:
        if best.is_optimal or (below_bytes is not None and best.bound_bytes >= below_bytes):
            break
        better = solver(problem, best.offsets, best.bound_bytes, time_s=seconds)
        planner = name if problem.peak_bytes(better.offsets) < best.peak_bytes else best.planner
        best = _checked(problem, better, planner, start)
    return best


def _checked(problem: Problem, found: Found, planner: str, start: float) -> Solution:
    peak_bytes = problem.peak_bytes(found.offsets)
    if not problem.is_kept(found.offsets) or found.bound_bytes > peak_bytes:
        raise InternalError(f"the planner {planner} made a plan that does not hold")
    return Solution(found.offsets, peak_bytes, found.bound_bytes, planner, time.monotonic() - start)
