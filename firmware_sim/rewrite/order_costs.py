"""What the order of operators is judged by, from the same facts as the memory plan."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim.lifetimes import Lifetimes, lifetimes
from firmware_sim.memory.elements import round_up
from firmware_sim.memory.head import head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import tail
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.plan import profiles_of
from firmware_sim.overlap.rules import rules
from firmware_sim.planners.base import BufferRequest
from firmware_sim.planners.bounds import lower_bound_bytes
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.reorder import Costs


def order_costs(model: Model, kernels: str, builds: Sequence[Profile] | None = None) -> Costs:
    """Sizes, scratch buffers and possible overlaps of a model's first subgraph.

    Scratch buffers are the largest of some builds of the class, by default of all.
    What the subgraphs that an operator calls have in use at their worst moment counts as its scratch buffer.

    Raises:
        ModelError: TFLM refuses the model.
        UsageError: there is no such kernel class.
    """
    tails = [tail(model, profile, OfflinePlan(())) for profile in builds or profiles_of(kernels)]
    times = lifetimes(model)
    buffers = head_buffers(model.subgraphs, tails[0].tensors, tails[0].scratch, times, OfflinePlan(()))
    tensors = [buffer for buffer in buffers if buffer.kind == "tensor"]
    sizes = {buffer.index: buffer.request.size_bytes for buffer in tensors if buffer.subgraph == 0}
    called = [buffer.request for buffer in tensors if buffer.subgraph != 0]
    inside = _called_bytes(called, times) if called else {}
    scratch: dict[int, int] = {}
    for one in tails:
        needs = dict(inside)
        for request in one.scratch:
            if request.subgraph == 0:
                needs[request.operator] = needs.get(request.operator, 0) + round_up(request.bytes)
        for operator, count in needs.items():
            scratch[operator] = max(scratch.get(operator, 0), count)
    shared = {
        (operator.index, index): count
        for operator in model.subgraphs[0].operators
        for index, count in _shared(operator, tails[0].tensors[0], kernels, sizes).items()
    }
    return Costs(sizes, scratch, shared)


def _called_bytes(called: Sequence[BufferRequest], times: Lifetimes) -> dict[int, int]:
    """Operator to the most that is in use at once in what it calls."""
    found: dict[int, int] = {}
    for (subgraph, operator), span in times.operators.items():
        if subgraph == 0 and span.last > span.first:
            within = [one for one in called if one.first <= span.last and span.first <= one.last]
            found[operator] = lower_bound_bytes(within)
    return found


def _shared(operator: Operator, tensors: list[Tensor], kernels: str, sizes: dict[int, int]) -> dict[int, int]:
    """Input to the bytes that the output can share with it."""
    chosen = rules(operator, tensors, kernels)
    found = {}
    for index in {index for rule in chosen for index in rule.inputs}:
        least = min(sizes.get(index, 0), sizes.get(operator.outputs[0], 0))
        if all(rule.step == "copy" for rule in chosen):
            found[index] = least
        elif (distance := distance_bytes(chosen, index)) is not None:
            found[index] = max(min(least, sizes.get(operator.outputs[0], 0) - round_up(distance)), 0)
    return {index: count for index, count in found.items() if count}
