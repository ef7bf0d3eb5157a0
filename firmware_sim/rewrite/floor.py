"""What no memory plan can go below, whatever the kernels are: between operators, all that is still to be read is whole.

The bound of a plan holds for the distances that kernels need. This one holds for kernels that need none, and for every order
of the operators; only working on parts of tensors (bands of rows, say) gets below it.
"""

from __future__ import annotations

from typing import Final

from firmware_sim.lifetimes import reached
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Model, Subgraph
from firmware_sim.rewrite.draft import DraftGraph
from firmware_sim.rewrite.reorder import Costs, reorder

# What they write may be a part of what they read, at the place where that is.
_VIEWS: Final = frozenset({"EXPAND_DIMS", "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "UNPACK"})
_EVERYTHING: Final = 1 << 60


def floor_bytes(model: Model) -> int:
    """The least head of a model: the most bytes in use between two operators, in the best order.

    Of subgraphs that operators call, each is counted by itself.
    """
    running = {0, *(number for operator in model.subgraphs[0].operators for number in reached(model, operator))}
    return max(_floor_bytes(model.subgraphs[number]) for number in running)


def _floor_bytes(subgraph: Subgraph) -> int:
    tensors = {tensor.index: tensor for tensor in subgraph.tensors}
    graph = DraftGraph(tensors, subgraph.operators, subgraph.inputs, subgraph.outputs)
    views = {index for operator in graph.operators if operator.op in _VIEWS for index in operator.outputs}
    sizes = {
        index: tensor_bytes(tensor)
        for index, tensor in graph.tensors.items()
        if tensor.data is None and not tensor.is_variable and index not in views
    }
    shared = {(operator.index, index): _EVERYTHING for operator in graph.operators for index in operator.inputs}
    _, ordering = reorder(graph, Costs(sizes, {}, shared))
    return ordering.bound_bytes
