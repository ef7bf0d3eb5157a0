"""FULLY_CONNECTED and BATCH_MATMUL of the CMSIS-NN kernels."""

from __future__ import annotations

from firmware_sim.memory.kernels.context import Node, prepares
from firmware_sim.memory.kernels.dense import filter_scales, per_channel, transposed_operands


@prepares("FULLY_CONNECTED", kernels="cmsis-nn")
def fully_connected(node: Node) -> None:
    """Source: cmsis_nn/fully_connected.cc:123-178, fully_connected_common.cc:79-116."""
    data, weights = node.input(0), node.input(1)
    node.refuse_hybrid(data, weights)
    per_channel(node)
    if data.type != "INT8" or weights.type != "INT8":
        return
    depth = node.dimension(node.output(), -1)
    if len(node.output().shape) > 2 and node.dimension(weights, -1) % 4 == 0:
        if filter_scales(weights) <= 1:
            node.scratch(8 * depth)
    elif node.profile.isa == "mve":
        _kernel_sums(node, depth)


def _kernel_sums(node: Node, depth: int) -> None:
    """Sums of the weights: kept if they are constant, else worked out at each call."""
    bias = node.optional_input(2)
    is_constant = node.input(1).data is not None and (bias is None or bias.data is not None)
    if is_constant:
        node.persistent(4 * depth)
    else:
        node.scratch(4 * depth)


@prepares("BATCH_MATMUL", kernels="cmsis-nn")
def batch_matmul(node: Node) -> None:
    """Source: cmsis_nn/batch_matmul.cc:262-330."""
    transposed_operands(node)
    node.relocate_dims(node.output())
    if node.input(0).type != "FLOAT32":
        node.persistent(28)
    if node.input(0).type == "INT8" and node.profile.isa == "mve":
        node.scratch(4 * node.dimension(node.output(), -1))
