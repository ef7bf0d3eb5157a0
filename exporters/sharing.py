"""Equal constants are stored once: a tensor less in the file takes 16 to 24 bytes less of the arena.

This is so for constants that a lowering makes (`Tensor.fixed`), not for what a network learns: which of them are equal is
known before there are weights, and so a price can count on it (docs/decisions/0113-equal-constants-once.md).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace

from exporters.graph import Graph, Tensor


def shared(graph: Graph) -> Graph:
    """The graph with one tensor for equal fixed constants, the first of them."""
    first: dict[Hashable, str] = {}
    names = {tensor.name: first.setdefault(key, tensor.name) for key, tensor in _fixed(graph.tensors.values())}
    if len(first) == len(names):
        return graph
    return graph.rebuilt(
        replace(op, inputs=tuple([name and names.get(name, name) for name in op.inputs])) for op in graph.operators
    )


def contents(graph: Graph) -> tuple[Hashable, ...]:
    """What the fixed constants of a graph hold; those of one content become one tensor, also where graphs are joined."""
    return tuple(key for key, _ in _fixed(graph.tensors.values()))


def _fixed(tensors: Iterable[Tensor]) -> Iterable[tuple[Hashable, Tensor]]:
    for tensor in tensors:
        if tensor.fixed and tensor.data is not None:
            yield (tensor.dtype, tensor.shape, tensor.quantization, tensor.data.tobytes()), tensor
