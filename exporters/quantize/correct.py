"""Bias correction: what rounding a kernel adds to the mean of an output is taken off its bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721), section 4.2, with
means of calibration data in place of those of batch normalisation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.execute import apply
from exporters.graph import Graph, Operator, Tensor
from exporters.quantize.ranges import Means

_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")
_LARGEST: Final = 2**31 - 1


def means_for(graph: Graph) -> Means:
    """Learns what `correct_bias` needs: the mean map in front of every convolution."""
    return Means(frozenset(str(op.inputs[0]) for op in graph.operators if op.op in _CONVOLUTIONS))


def correct_bias(float_graph: Graph, graph: Graph, means: Means) -> Graph:
    """The int8 graph with other biases, after which rounded kernels give the mean outputs that the float ones give.

    A convolution is linear, so the mean output of a kernel's rounding error over all examples is its output for the mean
    map; borders and strides are exact. The errors of the activations are not looked at.

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
        shift = _mean_output(op, means.mean(x), rounding_error(float_graph.tensors[kernel], graph.tensors[kernel]))
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


def _mean_output(op: Operator, mean: NDArray[np.float32], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the output map of a convolution without bias and activation, [channels]."""
    linear = op.with_options(fused_activation_function="NONE")
    weight = torch.as_tensor(kernel)
    channels = kernel.shape[0] if op.op == "CONV_2D" else kernel.shape[3]
    result = apply(linear, torch.as_tensor(mean).double(), weight, torch.zeros(channels, dtype=torch.float64))
    return np.asarray(result.mean(dim=(0, 1, 2)).numpy())
