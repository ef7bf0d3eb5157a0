"""Reductions and sums over several tensors."""

from __future__ import annotations

from firmware_sim.memory.kernels.context import Node, prepares


@prepares("MEAN", "SUM")
def mean(node: Node) -> None:
    """Accumulators for integers, then iterators. Source: reduce_common.cc:238-250."""
    if node.input(0).type in ("INT8", "INT16"):
        node.scratch(4 * node.output().elements)
    _iterators(node)


@prepares("REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL")
def reduce(node: Node) -> None:
    """Source: reduce_common.cc:211-215, 278-283."""
    _iterators(node)


def _iterators(node: Node) -> None:
    node.scratch(4 * len(node.input(0).shape), 4 * node.input(1).elements)


@prepares("ADD_N")
def add_n(node: Node) -> None:
    """Source: add_n.cc:82-100."""
    if node.input(0).type == "INT8":
        node.persistent(40)
    node.scratch(node.profile.pointer_bytes * len(node.operator.inputs))


@prepares("CUMSUM")
def cumsum(node: Node) -> None:
    """Source: cumsum.cc:72-74."""
    if node.output().type == "INT8":
        node.persistent(36)
