"""Tensors that must share scale and zero point, found from the rules of the operators."""

from __future__ import annotations

from collections.abc import Mapping

from exporters.graph import Graph
from exporters.operators import KINDS


def share_groups(graph: Graph) -> Mapping[str, str]:
    """For each computed tensor the name of its group's representative (itself when it shares with nobody).

    Pools, reshapes, nearest resizing and concatenation only move or compare integers, so TFLM demands that their inputs
    and outputs agree (kernels/pooling_common.cc, kernels/concatenation.cc).
    """
    parent = {tensor.name: tensor.name for tensor in graph.activations()}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for op in graph.operators:
        if KINDS[op.op].rule != "same":
            continue
        for name in op.inputs:
            if name in parent:
                parent[find(name)] = find(op.outputs[0])
    return {name: find(name) for name in parent}
