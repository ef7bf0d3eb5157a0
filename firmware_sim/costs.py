"""What one operator computes and reads: multiply-accumulates, and the constants in flash.

A multiply-accumulate (MAC) is counted as the literature counts it: convolutions and matrix products at their full size,
border positions that fall on padding included; biases, activations, additions and pooling count nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from firmware_sim.model import Model, Operator, Tensor, Tensors

Shape = tuple[int, ...]
_Count = Callable[[Operator, Sequence[Shape], Shape], int]

_LSTM_MATRICES: Final = slice(1, 9)
"""Inputs that are gate matrices: four for the input, four recurrent (lite/micro/kernels/lstm_shared.h)."""


def macs(operator: Operator, tensors: Tensors) -> int:
    """Multiply-accumulates of one run of `operator`.

    Args:
        operator: the operator. One that calls subgraphs counts nothing itself: their operators count.
        tensors: those of its subgraph, with the shapes that they have when it runs.

    Returns:
        0 for operators that multiply no matrices, for custom ones, and for shapes that no kernel takes.
    """
    count = None if operator.is_custom else _COUNTS.get(operator.op)
    if count is None or not operator.outputs:
        return 0
    shapes = [tensors[index].shape if index >= 0 else () for index in operator.inputs]
    try:
        return max(count(operator, shapes, tensors[operator.outputs[0]].shape), 0)
    except (IndexError, ZeroDivisionError):
        return 0


def model_macs(model: Model) -> int:
    """Multiply-accumulates of all operators of a model, each counted once."""
    return sum(macs(operator, subgraph.tensors) for subgraph in model.subgraphs for operator in subgraph.operators)


def weight_bytes(operator: Operator, tensors: Sequence[Tensor]) -> int:
    """Bytes of the constants that `operator` reads, as the file stores them; small ones such as axes included.

    A constant that several operators share counts for each of them.
    """
    constants = (tensors[index].data for index in dict.fromkeys(operator.inputs) if index >= 0)
    return sum(len(data) for data in constants if data is not None)


def _conv_2d(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """The filter is [O, h, w, I]; with groups, I is the depth of one."""
    _, height, width, depth = _of_rank(inputs[1], 4)
    return math.prod(output) * height * width * depth


def _depthwise_conv_2d(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """The filter is [1, h, w, O]."""
    _, height, width, _ = _of_rank(inputs[1], 4)
    return math.prod(output) * height * width


def _transpose_conv(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """The filter is [O, h, w, I]: each element of the data, input 2, meets all of its slice."""
    outputs, height, width, _ = _of_rank(inputs[1], 4)
    return math.prod(inputs[2]) * outputs * height * width


def _fully_connected(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """The weights are [O, I]; the rows of the data are its elements divided by I."""
    outputs, depth = _of_rank(inputs[1], 2)
    return math.prod(inputs[0]) // depth * depth * outputs


def _batch_matmul(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """[..., M, K] times [..., K, N], the first one stored as [..., K, M] with the option adj_x."""
    return math.prod(output) * inputs[0][-2 if operator.option("adj_x") else -1]


def _svdf(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """Per batch, each filter takes in the features [filters, I], then its memory over time [filters, T]."""
    filters, depth = _of_rank(inputs[1], 2)
    _, memory = _of_rank(inputs[2], 2)
    return inputs[0][0] * filters * (depth + memory)


def _lstm(operator: Operator, inputs: Sequence[Shape], output: Shape) -> int:
    """The gate matrices that are there, once a batch and time step; data is [batch, time, I] or [time, batch, I]."""
    first, second, _ = _of_rank(inputs[0], 3)
    return first * second * sum(math.prod(shape) for shape in inputs[_LSTM_MATRICES] if shape)


def _of_rank(shape: Shape, rank: int) -> Shape:
    if len(shape) != rank:
        raise IndexError
    return shape


_COUNTS: Final[dict[str, _Count]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
