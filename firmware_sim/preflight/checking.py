"""All rules, applied to a model."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.model import Model, Subgraph
from firmware_sim.preflight import arrays, dense, filters, graph, operands, quantization, recurrent
from firmware_sim.preflight.refusal import Refusal
from firmware_sim.preflight.site import Site, rules
from firmware_sim.profiles import Profile

# Importing the families registers their rules.
__all__ = ["arrays", "dense", "filters", "recurrent", "refusals"]


def refusals(model: Model, profile: Profile) -> tuple[Refusal, ...]:
    """Why TFLM would refuse the model, in the order of its operators; empty if nothing is known against it.

    Each rule is judged by itself, so a model that TFLM refuses at its first fault gets all of them listed.
    """
    return tuple(found for number in range(len(model.subgraphs)) for found in _subgraph(model, number, profile))


def _subgraph(model: Model, number: int, profile: Profile) -> Iterator[Refusal]:
    subgraph: Subgraph = model.subgraphs[number]
    yield from graph.shapes(number, subgraph)
    for operator in subgraph.operators:
        yield from graph.operator(number, subgraph, operator)
        if operator.is_custom:
            continue
        site = Site(number, operator, subgraph.tensors, profile, operands.own_kernel(profile.kernels, operator.op))
        yield from operands.check(site)
        yield from quantization.check(site)
        for rule in rules(operator.op):
            yield from rule(site)
