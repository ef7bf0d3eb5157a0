"""What the order of operators is judged by, from the same facts as the memory plan."""

from __future__ import annotations

from firmware_sim.lifetimes import lifetimes
from firmware_sim.memory.elements import round_up
from firmware_sim.memory.head import head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import tail
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.plan import profiles_of
from firmware_sim.overlap.rules import rules
from firmware_sim.rewrite.reorder import Costs


def order_costs(model: Model, kernels: str) -> Costs:
    """Sizes, scratch buffers and possible overlaps of a model with one subgraph.

    Raises:
        ModelError: TFLM refuses the model.
        UsageError: there is no such kernel class.
    """
    tails = [tail(model, profile, OfflinePlan(())) for profile in profiles_of(kernels)]
    buffers = head_buffers(model.subgraphs, tails[0].tensors, tails[0].scratch, lifetimes(model), OfflinePlan(()))
    sizes = {buffer.index: buffer.request.size_bytes for buffer in buffers if buffer.kind == "tensor"}
    scratch: dict[int, int] = {}
    for one in tails:
        needs: dict[int, int] = {}
        for request in one.scratch:
            needs[request.operator] = needs.get(request.operator, 0) + round_up(request.bytes)
        for operator, count in needs.items():
            scratch[operator] = max(scratch.get(operator, 0), count)
    shared = {
        (operator.index, index): count
        for operator in model.subgraphs[0].operators
        for index, count in _shared(operator, tails[0].tensors[0], kernels, sizes).items()
    }
    return Costs(sizes, scratch, shared)


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
