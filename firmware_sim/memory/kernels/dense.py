"""FULLY_CONNECTED, BATCH_MATMUL and SOFTMAX of the reference kernels."""

from __future__ import annotations

from firmware_sim.memory import sizes
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.memory.kernels.context import Node, int_array_bytes, prepares
from firmware_sim.model import Tensor


def filter_scales(weights: Tensor) -> int:
    """Number of scales of the weights."""
    return len(weights.quantization.scale) if weights.quantization else 0


@prepares("FULLY_CONNECTED")
def fully_connected(node: Node) -> None:
    """An int4 filter is unpacked; per-channel weights need multipliers and shifts.

    Source: fully_connected.cc:69-76, fully_connected_common.cc:79-116.
    """
    data, weights = node.input(0), node.input(1)
    node.refuse_hybrid(data, weights)
    if weights.type == "INT4":
        node.scratch(weights.elements)
    per_channel(node)


def per_channel(node: Node) -> None:
    """Multipliers and shifts of weights with more than one scale."""
    scales = filter_scales(node.input(1))
    if node.input(0).type != "FLOAT32" and scales > 1:
        node.persistent(4 * scales, 4 * scales)


@prepares("BATCH_MATMUL")
def batch_matmul(node: Node) -> None:
    """Quantisation data, transposed copies, and the output's shape.

    Source: batch_matmul.cc:91-167, batch_matmul_common.cc:43.
    """
    if node.input(0).type in ("INT8", "INT16"):
        node.persistent(28)
    transposed_operands(node)
    node.relocate_dims(node.output())


def transposed_operands(node: Node) -> None:
    """The kernel wants the right operand transposed, the left one not; what is otherwise is copied."""
    if node.operator.option("adj_x"):
        _transposed(node, node.input(0))
    if not node.operator.option("adj_y"):
        _transposed(node, node.input(1))


def _transposed(node: Node, tensor: Tensor) -> None:
    node.persistent(
        sizes.core(node.profile, "TfLiteEvalTensor").bytes,
        int_array_bytes(len(tensor.shape)),
        tensor_bytes(tensor),
    )


@prepares("SOFTMAX")
def softmax(node: Node) -> None:
    """Two tables of 513 int16 values for int16 data. Source: softmax_common.cc:36-46."""
    if node.input(0).type == "INT16":
        node.persistent(2 * 513, 2 * 513)


@prepares("LOG_SOFTMAX")
def log_softmax(node: Node) -> None:
    """Source: log_softmax.cc:61-63."""
    if node.input(0).type == "INT8":
        node.persistent(28 if node.profile.pointer_bytes == 4 else 40)
