"""The same question put to CP-SAT, for problems that the search of our own does not finish.

Needs the optional package `ortools`. Blocks whose pairs all need full separation are rectangles in time and memory, for
which CP-SAT has a constraint of its own; other pairs are a choice between two distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from firmware_sim.errors import UsageError
from firmware_sim.planners.problem import Problem
from firmware_sim.planners.search import Found

_WORKERS = 2


def is_installed() -> bool:
    """Whether CP-SAT can be asked."""
    return find_spec("ortools") is not None


def cpsat(problem: Problem, offsets: Sequence[int], bound_bytes: int, *, time_s: float) -> Found:
    """As `firmware_sim.planners.search.search`.

    Raises:
        UsageError: ortools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        raise UsageError("CP-SAT is not installed", hint="pip install 'sapool[plan]'") from error
    if _is_plain(problem):
        return _rectangles(cp_model, problem, offsets, bound_bytes, time_s)
    return _pairs(cp_model, problem, offsets, bound_bytes, time_s)


def _is_plain(problem: Problem) -> bool:
    """Every pair needs full separation in both orders."""
    return all(distance == problem.sizes_bytes[lower] for (_, lower), distance in problem.apart.items())


def _rectangles(cp_model: Any, problem: Problem, offsets: Sequence[int], bound_bytes: int, time_s: float) -> Found:
    """Time is fixed, offsets are free. First whether the bound can be met, often found fast; then the least peak."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for moment, live in enumerate(problem.moments):
        for block, _ in live:
            first.setdefault(block, moment)
            last[block] = moment
    step = problem.step_bytes
    highest = problem.peak_bytes(offsets) // step
    lowest = -(-bound_bytes // step)
    for top, share in ((lowest, 0.7), (highest, 0.3)):
        model: Any = cp_model.CpModel()
        peak = model.new_int_var(lowest, top, "peak")
        places, times, spaces = [], [], []
        for block, size_bytes in enumerate(problem.sizes_bytes):
            size = size_bytes // step
            place = model.new_int_var(0, top - size, "")
            start = first.get(block, 0)
            places.append(place)
            times.append(model.new_fixed_size_interval_var(start, last.get(block, start) - start + 1, ""))
            spaces.append(model.new_fixed_size_interval_var(place, size, ""))
            if top > lowest:
                model.add(place + size <= peak)
                model.add_hint(place, offsets[block] // step)
        model.add_no_overlap_2d(times, spaces)
        if top > lowest:
            model.minimize(peak)
        solver = _solver(cp_model, time_s * share)
        solver.parameters.use_energetic_reasoning_in_no_overlap_2d = True
        solver.parameters.use_timetabling_in_no_overlap_2d = True
        status = solver.solve(model)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            bound = lowest if top == lowest else max(lowest, round(solver.best_objective_bound))
            return Found(tuple(solver.value(place) * step for place in places), bound * step)
        if status == cp_model.INFEASIBLE and top < highest:
            lowest += 1
    return Found(tuple(offsets), min(lowest, highest) * step)


def _solver(cp_model: Any, time_s: float) -> Any:
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_s
    solver.parameters.num_workers = _WORKERS
    return solver


def _pairs(cp_model: Any, problem: Problem, offsets: Sequence[int], bound_bytes: int, time_s: float) -> Found:
    """A choice between two distances for every pair."""
    step = problem.step_bytes
    peak_bytes = problem.peak_bytes(offsets)
    model: Any = cp_model.CpModel()
    peak = model.new_int_var(-(-bound_bytes // step), peak_bytes // step, "peak")
    sizes = [size // step for size in problem.sizes_bytes]
    places = [model.new_int_var(0, max(peak_bytes // step - size, 0), "") for size in sizes]
    for place, size, offset in zip(places, sizes, offsets, strict=True):
        model.add(place + size <= peak)
        model.add_hint(place, offset // step)
    for (one, other), distance in problem.apart.items():
        if one < other:
            above = model.new_bool_var("")
            model.add(places[one] - places[other] >= distance // step).only_enforce_if(above)
            model.add(places[other] - places[one] >= problem.apart[other, one] // step).only_enforce_if(~above)
            model.add_hint(above, offsets[one] - offsets[other] >= distance)
    _add_moments(model, problem, places, sizes, peak)
    model.minimize(peak)
    solver = _solver(cp_model, time_s)
    status = solver.solve(model)
    bound_bytes = max(bound_bytes, round(solver.best_objective_bound) * step)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Found(tuple(offsets), min(bound_bytes, peak_bytes))
    return Found(tuple(solver.value(place) * step for place in places), bound_bytes)


def _add_moments(model: Any, problem: Problem, places: Sequence[Any], sizes: Sequence[int], peak: Any) -> None:
    """What is in use at one time and fully separated lies side by side: a second view of the same distances."""
    for moment in problem.moments:
        blocks = [number for number, _ in moment if _is_separate(problem, number, moment)]
        if len(blocks) > 2:
            model.add_no_overlap(
                [model.new_fixed_size_interval_var(places[number], sizes[number], "") for number in blocks]
            )
            model.add(peak >= sum(sizes[number] for number in blocks))


def _is_separate(problem: Problem, number: int, moment: Sequence[tuple[int, int]]) -> bool:
    return all(
        number == other
        or (
            problem.apart.get((number, other)) == problem.sizes_bytes[other]
            and problem.apart[other, number] == problem.sizes_bytes[number]
        )
        for other, _ in moment
    )
