"""Bias correction: what rounding a kernel adds to the mean of an output is taken off its bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721), section 4.2, with
means of calibration data in place of those of batch normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.execute import padding, spacing
from exporters.graph import Graph, Operator, Tensor
from exporters.quantize.ranges import Means

_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")
_LARGEST: Final = 2**31 - 1


def means_for(graph: Graph) -> Means:
    """Learns what `correct_bias` needs: the mean map in front of every convolution."""
    return Means(frozenset(str(op.inputs[0]) for op in graph.operators if op.op in _CONVOLUTIONS))


def correct_bias(float_graph: Graph, graph: Graph, means: Means) -> Graph:
    """The int8 graph with other biases, after which rounded kernels give the mean outputs that the float ones give.

    A convolution is linear, so the mean output of a kernel's rounding error over all examples and places is what it gives
    for the means that its weights read; borders and strides are exact. The errors of the activations are not looked at.

    Args:
        float_graph: the graph that `graph` was made from.
        graph: from `quantize`.
        means: learnt while `float_graph` was observed.
    """
    changed: list[Tensor] = []
    for op in float_graph.operators:
        if op.op not in _CONVOLUTIONS:
            continue
        x, kernel, offsets = (str(name) for name in op.inputs)
        error = rounding_error(float_graph.tensors[kernel], graph.tensors[kernel])
        shift = _mean_output(op, means.mean(x), error, graph.tensors[op.outputs[0]].shape[1:3])
        bias, stored = float_graph.tensors[offsets].data, graph.tensors[offsets]
        assert bias is not None
        assert stored.quantization is not None
        integers = np.rint((bias - shift) / np.array(stored.quantization.scale))
        changed.append(replace(stored, data=np.clip(integers, -_LARGEST, _LARGEST).astype(np.int32)))
    return graph.rebuilt(graph.operators, changed)


def rounding_error(exact: Tensor, rounded: Tensor) -> NDArray[np.float64]:
    """Real value of an int8 kernel minus the kernel that it stands for, in its shape."""
    assert exact.data is not None
    assert rounded.data is not None
    assert rounded.quantization is not None
    along = [1] * rounded.data.ndim
    along[rounded.quantization.dimension] = -1
    real = rounded.data * np.array(rounded.quantization.scale).reshape(along)
    return np.asarray(real - exact.data, np.float64)


def _mean_output(
    op: Operator, mean: NDArray[np.float32], kernel: NDArray[np.float64], extents: Sequence[int]
) -> NDArray[np.float64]:
    """Mean over the output map, of these extents, of a convolution without bias and activation, [channels]."""
    shape = kernel.shape[1:3]
    seen = _window_means(op, mean[0], shape, extents)
    if op.op == "CONV_2D":
        groups = seen.shape[2] // kernel.shape[3]
        read = seen.reshape(-1, groups, kernel.shape[3]).transpose(1, 0, 2).reshape(groups, -1, 1)
        return np.asarray((kernel.reshape(groups, len(kernel) // groups, -1) @ read).reshape(-1))
    each = int(op.options["depth_multiplier"])  # type: ignore[arg-type]
    return np.asarray((kernel.reshape(*shape, -1) * seen.repeat(each, axis=2)).sum(axis=(0, 1)))


def _window_means(
    op: Operator, mean: NDArray[np.float32], kernel: Sequence[int], extents: Sequence[int]
) -> NDArray[np.float64]:
    """What each weight of a kernel reads on average while the kernel slides over a map [H, W, C]: [rows, columns, C]."""
    stride, dilation = spacing(op)
    (top, bottom), (left, right) = padding(op, mean.shape[:2], kernel, stride, dilation)
    height, width, channels = mean.shape
    padded = np.zeros((top + height + bottom, left + width + right, channels))
    padded[top : top + height, left : left + width] = mean
    rows, columns = (
        [slice(i * apart, i * apart + (n - 1) * step + 1, step) for i in range(places)]
        for places, n, step, apart in zip(kernel, extents, stride, dilation, strict=True)
    )
    lines = [np.add.reduce(padded[row]) for row in rows]
    return np.array([[np.add.reduce(line[column]) for column in columns] for line in lines]) / math.prod(extents)
