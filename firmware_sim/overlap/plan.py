"""A plan of the head for one kernel class, in which outputs may overlap the inputs that die there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware_sim import profiles
from firmware_sim.lifetimes import UNSET, Lifetimes, lifetimes
from firmware_sim.memory.elements import round_up, tensor_bytes
from firmware_sim.memory.head import HeadBuffer, head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import Tail, tail
from firmware_sim.model import Model, Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.rules import class_of, members, rules
from firmware_sim.planners.problem import Allowance, Block, Part, problem
from firmware_sim.planners.solve import Solution, solve
from firmware_sim.profiles import Profile

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
) -> HeadPlan:
    """Plan the head of a model. A plan that it brings along is not looked at.

    Scratch buffers are in the plan, each operator's as one piece of the largest size that any build of the class asks for:
    TFLM places them itself, around the tensors, and finds that place or a lower one.

    Args:
        model: the model.
        kernels: the kernel class; see `firmware_sim.overlap.rules.kernel_classes`.
        overlap: let outputs overlap inputs; otherwise the best plan without overlaps.
        time_s: for the exact search; 0 for one that gives up after a few nodes.
        builds: those of the class whose scratch buffers count; None for all.

    Raises:
        ModelError: TFLM refuses the model.
        UsageError: there is no such class.
    """
    tails = [tail(model, profile, _NO_PLAN) for profile in builds or profiles_of(kernels)]
    times = lifetimes(model)
    first = tails[0]
    tensors = [
        buffer
        for buffer in head_buffers(model.subgraphs, first.tensors, first.scratch, times, _NO_PLAN)
        if buffer.kind == "tensor"
    ]
    reason = _reason_against(model, tails, tensors)
    if reason:
        return HeadPlan((), None, reason)
    layout = _Layout.of(model, first.tensors, tensors, kernels, overlap)
    blocks = [*layout.blocks, *_scratch(tails, times)]
    solution = solve(problem(blocks, layout.allowances), time_s=time_s)
    offsets: list[dict[int, int]] = [{} for _ in model.subgraphs]
    for (subgraph, tensor), block in layout.block_of.items():
        offsets[subgraph][tensor] = solution.offsets[block]
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


@dataclass(frozen=True, slots=True)
class _Layout:
    """Blocks for the tensors; tensors that a RESHAPE turns into one another share one."""

    blocks: list[Block]
    block_of: dict[tuple[int, int], int]
    allowances: list[Allowance]

    @classmethod
    def of(
        cls,
        model: Model,
        tensors: Sequence[Sequence[Tensor]],
        buffers: Sequence[HeadBuffer],
        kernels: str,
        overlap: bool,
    ) -> _Layout:
        spans = {(b.subgraph, b.index): [b.request.size_bytes, b.request.first, b.request.last] for b in buffers}
        root = {key: key for key in spans}
        distances: list[tuple[tuple[int, int], tuple[int, int], int]] = []
        # Called subgraphs keep TFLM's lifetimes and full separation: their inputs are written from outside, time and again.
        pairs = _dying(model, tensors, kernels) if overlap and len(model.subgraphs) == 1 else ()
        for victim, output, distance in pairs:
            if victim not in spans or output not in spans:
                continue
            if spans[victim][2] != spans[output][1]:
                continue
            if distance is None:
                root[output] = root[victim]
                spans[root[victim]][2] = spans[output][2]
                spans[root[victim]][0] = max(spans[root[victim]][0], spans[output][0])
            else:
                distances.append((victim, output, distance))
        roots = [key for key in spans if root[key] == key]
        number = {key: position for position, key in enumerate(roots)}
        block_of = {key: number[root[key]] for key in spans}
        blocks = [Block.whole(*spans[key]) for key in roots]
        allowances = [
            Allowance(Part(block_of[victim]), Part(block_of[output]), min(round_up(distance), spans[output][0]))
            for victim, output, distance in distances
        ]
        return cls(blocks, block_of, allowances)


def _dying(
    model: Model, tensors: Sequence[Sequence[Tensor]], kernels: str
) -> list[tuple[tuple[int, int], tuple[int, int], int | None]]:
    """Inputs that die at an operator which may write over them: (input, output, distance), None for the same place.

    In the order of the operators, so that a chain of RESHAPEs ends up in the block of its first tensor.
    """
    (subgraph,) = model.subgraphs
    last = {index: operator.index for operator in subgraph.operators for index in operator.inputs}
    found: list[tuple[tuple[int, int], tuple[int, int], int | None]] = []
    for operator in subgraph.operators:
        chosen = rules(operator, tensors[0], kernels)
        for index in dict.fromkeys(index for rule in chosen for index in rule.inputs):
            if last[index] != operator.index or index in subgraph.outputs:
                continue
            output = operator.outputs[0]
            if all(rule.step == "copy" for rule in chosen):
                if tensor_bytes(tensors[0][index]) == tensor_bytes(tensors[0][output]):
                    found.append(((0, index), (0, output), None))
                continue
            distance = distance_bytes(chosen, index)
            if distance is not None:
                found.append(((0, index), (0, output), distance))
    return found


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
