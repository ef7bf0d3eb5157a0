"""A plan of the head for one kernel class, in which outputs may overlap the inputs that die there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim import profiles
from firmware_sim.lifetimes import UNSET, Lifetimes, lifetimes
from firmware_sim.memory.elements import round_up
from firmware_sim.memory.head import HeadBuffer, head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import Tail, tail
from firmware_sim.model import Model
from firmware_sim.overlap.layout import Layout, distances, layout, separate
from firmware_sim.overlap.rules import class_of, members
from firmware_sim.overlap.views import CUTS, KINDS, PARTS, View
from firmware_sim.planners.problem import Block
from firmware_sim.planners.solve import Solution, solve
from firmware_sim.profiles import Profile

CHOICES: Final[tuple[Collection[str], ...]] = (KINDS, {CUTS}, {PARTS}, ())
"""Tensors that may lie inside others: what a plan tries."""

_NO_PLAN = OfflinePlan(())
# Distances are kept per pair; a network of this many tensors has no business on a microcontroller.
_MOST_BUFFERS = 2000


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """Where the tensors of each subgraph go, and the solution behind it. `reason` says why there is no plan."""

    offsets: tuple[Mapping[int, int], ...]
    solution: Solution | None
    reason: str = ""


def profiles_of(kernels: str) -> tuple[Profile, ...]:
    """The builds that a kernel class stands for.

    Raises:
        UsageError: there is no such class.
    """
    wanted = members(kernels)
    builds = (profiles.get(name) for name in profiles.names())
    return tuple(build for build in builds if class_of(build) in wanted)


def plan(
    model: Model,
    kernels: str,
    *,
    overlap: bool = True,
    time_s: float = 1.0,
    builds: Sequence[Profile] | None = None,
    tails: Sequence[Tail] = (),
    choices: Sequence[Collection[str]] = CHOICES,
    enough_bytes: int = 0,
    below_bytes: int | None = None,
    seen: Lifetimes | None = None,
    ties: Mapping[int, int] | None = None,
) -> HeadPlan:
    """Plan the head of a model. A plan that it brings along is not looked at.

    Scratch buffers are in the plan, each operator's as one piece of the largest size that any build of the class asks for:
    TFLM places them itself, around the tensors, and finds that place or a lower one. Where tensors can lie inside others
    (`firmware_sim.overlap.views`), plans with them and without are made.

    Args:
        model: the model.
        kernels: the kernel class; see `firmware_sim.overlap.rules.kernel_classes`.
        overlap: let outputs overlap inputs; otherwise the best plan without overlaps.
        time_s: for the exact search; 0 for one that gives up after a number of steps.
        builds: those of the class whose scratch buffers count; None for all.
        tails: those of the builds, without a plan, where they are known already; one for each kernel library is enough.
        choices: which tensors may lie inside others (`firmware_sim.overlap.views.views`); the best is taken.
        enough_bytes: a peak with which no further choice is tried.
        below_bytes: a head that is had already: nothing is searched where no plan can be below it.
        seen: lifetimes by which TFLM will place scratch buffers, where the file will have fewer operators than the model.
        ties: tensors that have to be where others are, which are in use at other times.

    Raises:
        ModelError: TFLM refuses the model.
        UsageError: there is no such class.
    """
    tails = tails or [tail(model, profile, _NO_PLAN) for profile in builds or profiles_of(kernels)]
    times = lifetimes(model)
    first = tails[0]
    tensors = [
        buffer
        for buffer in head_buffers(model.subgraphs, first.tensors, first.scratch, seen or times, _NO_PLAN)
        if buffer.kind == "tensor"
    ]
    reason = _reason_against(model, tails, tensors)
    if reason:
        return HeadPlan((), None, reason)
    scratch = _scratch(tails, times)
    if not overlap:
        return _solved(model, separate(tensors, scratch), time_s)
    plans: list[HeadPlan] = []
    known: list[Mapping[int, View]] = []
    apart = distances(model, first.tensors[0], kernels)
    for kinds in choices:
        found = layout(model, first.tensors[0], tensors, times, scratch, apart, kinds, ties)
        if found.views not in known:
            known.append(found.views)
            peaks = [one.solution.peak_bytes for one in plans if one.solution]
            had = [*peaks, *([] if below_bytes is None else [below_bytes])]
            plans.append(_solved(model, found, time_s, min(had, default=None)))
            if plans[-1].solution and plans[-1].solution.peak_bytes <= enough_bytes:
                break
    best = min(plans, key=lambda one: one.solution.peak_bytes if one.solution else 0)
    # Another choice may have been given up with a plan that is worse and a bound that is lower.
    bound_bytes = min(one.solution.bound_bytes for one in plans if one.solution)
    return replace(best, solution=replace(best.solution, bound_bytes=bound_bytes)) if best.solution else best


def _solved(model: Model, found: Layout, time_s: float, below_bytes: int | None = None) -> HeadPlan:
    solution = solve(found.problem, time_s=time_s, below_bytes=below_bytes)
    offsets: list[dict[int, int]] = [{} for _ in model.subgraphs]
    for (subgraph, tensor), (block, offset_bytes) in found.places.items():
        offsets[subgraph][tensor] = solution.offsets[block] + offset_bytes
    return HeadPlan(tuple(offsets), solution)


def _reason_against(model: Model, tails: Sequence[Tail], tensors: Sequence[HeadBuffer]) -> str:
    if len(tensors) > _MOST_BUFFERS:
        return f"{len(tensors)} tensors; more than {_MOST_BUFFERS} are not planned"
    if not tensors:
        return "no tensor to plan"
    for (number, index), use in tails[0].operators.items():
        if use.is_unknown:
            op = model.subgraphs[number].operators[index].op
            return f"operator {index} ({op}): what its kernel asks for is not known"
    if len(model.subgraphs) > 1 and any(t.is_variable for s in model.subgraphs for t in s.tensors):
        # TFLM looks up a variable of a later subgraph at the place of a tensor of the first (micro_allocator.cc:1074-1092).
        return "several subgraphs with variable tensors, whose places TensorFlow Lite Micro would confuse"
    orphan = next((buffer for buffer in tensors if buffer.request.first == UNSET != buffer.request.last), None)
    return "" if orphan is None else f"tensor {orphan.name!r} is read but never written"


def _scratch(tails: Sequence[Tail], times: Lifetimes) -> list[Block]:
    most: dict[tuple[int, int], int] = {}
    for one in tails:
        needs: dict[tuple[int, int], int] = {}
        for request in one.scratch:
            key = request.subgraph, request.operator
            needs[key] = needs.get(key, 0) + round_up(request.bytes)
        for key, count in needs.items():
            most[key] = max(most.get(key, 0), count)
    return [
        Block.whole(count, times.operators[key].first, times.operators[key].last)
        for key, count in most.items()
        if count and key in times.operators
    ]
