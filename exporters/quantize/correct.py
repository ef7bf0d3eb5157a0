"""Bias correction: what int8 adds to the mean output of a convolution is taken off its bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721), appendix D: the
network runs in float and in int8 over a few examples, and the means of each channel are made the same, layer by layer. So
the bias makes up for rounded kernels, and also for what comes from layers in front of it that have no bias: averages round
their ties to one side, and values are clipped at one end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.execute import Batch, activate, arrays, run
from exporters.graph import Graph, Operator, Tensor
from exporters.quantize.rounding import round_in_place

_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")
_EXAMPLES: Final = 32
_PIXELS: Final = 1 << 19  # of all examples together, for they are computed at once
_LARGEST: Final = 2**31 - 1


class Reference:
    """A few examples, and what the convolutions of the float graph gave for each: means over the map, per channel.

    Hand the batches through `watch`, and `finish` to what runs the float graph over them. The examples come from the first
    batches, evenly from each: data that are sorted by class should be dealt out to the batches in turn.
    """

    def __init__(self) -> None:
        self._examples: list[tuple[NDArray[np.float32], ...]] = []
        self._chosen: list[slice] = []
        self._means: dict[str, list[torch.Tensor]] = {}

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; the first examples are kept."""
        left: int | None = None
        for batch in batches:
            given = arrays(batch)
            if left is None:
                left = max(1, min(_EXAMPLES, _PIXELS // max([1, *(math.prod(array.shape[1:3]) for array in given)])))
            if left:
                count = min(map(len, given), default=0)
                taken = min(left, count)
                every = max(1, count // max(taken, 1))
                self._chosen.append(slice(0, every * taken, every))
                self._examples.append(tuple(array[self._chosen[-1]] for array in given))
                left -= taken
            yield batch

    def finish(self, op: Operator, result: torch.Tensor) -> torch.Tensor:
        """What an operator gives; of a convolution the means are kept before its activation."""
        if op.op in _CONVOLUTIONS:
            seen = self._means.setdefault(op.outputs[0], [])
            if len(seen) < len(self._chosen):
                seen.append(result[self._chosen[-1]].mean(dim=(1, 2)))
        return activate(op, result)

    def examples(self) -> tuple[NDArray[np.float32], ...]:
        """The examples in one batch, an array for each input."""
        return tuple(np.concatenate(parts) for parts in zip(*self._examples, strict=True))

    def means(self, name: str) -> torch.Tensor:
        """What a convolution gives for each example, [examples, channels]."""
        return torch.cat(self._means[name])


def correct_bias(float_graph: Graph, graph: Graph, reference: Reference) -> Graph:
    """The int8 graph with other biases, after which its convolutions give the mean outputs that the float ones give.

    It is computed in float with the rounding of int8. Each convolution gets its bias before the layers behind it are
    computed, so that no difference is made up for twice. The fewer the examples, and the less they agree, the less of a
    difference is taken off: see `_shift`.

    Args:
        float_graph: the graph that `graph` was made from.
        graph: from `quantize`.
        reference: has watched `float_graph` run.
    """
    corrected: list[Tensor] = []

    def finish(op: Operator, result: torch.Tensor) -> torch.Tensor:
        if op.op in _CONVOLUTIONS:
            offsets = graph.tensors[str(op.inputs[2])]
            bias = float_graph.tensors[offsets.name].data
            assert bias is not None
            shift = _shift(result.mean(dim=(1, 2)) - reference.means(op.outputs[0]))
            step = np.array(graph.quantization(offsets.name).scale)
            integers = np.clip(np.rint((bias - shift) / step), -_LARGEST, _LARGEST).astype(np.int32)
            corrected.append(Tensor(offsets.name, offsets.shape, "int32", integers, offsets.quantization))
            result += torch.as_tensor((integers * step - bias).astype(np.float32))
        scale = graph.quantization(op.outputs[0])
        return round_in_place(activate(op, result), scale, average=op.op == "AVERAGE_POOL_2D")

    inputs = zip(float_graph.inputs, reference.examples(), strict=True)
    batch = [round_in_place(torch.as_tensor(array), graph.quantization(name)).numpy() for name, array in inputs]
    run(_with_rounded_constants(float_graph, graph), batch, finish=finish)
    return graph.rebuilt(graph.operators, corrected)


def _shift(differences: torch.Tensor) -> NDArray[np.float64]:
    """What int8 adds to a layer's mean outputs [channels], from its means minus those in float, [examples, channels].

    The mean over the examples, times the share of it that is not chance: 1 - (variance of the means) / (their mean square),
    all channels together, or nothing where that is negative (James and Stein's estimate).
    """
    values = differences.numpy()
    count, mean = len(values), values.sum(axis=0, dtype=np.float64) / len(values)
    power = float(mean @ mean) / len(mean)
    if count < 2 or power <= 0:
        return np.zeros_like(mean)
    variance = (float(np.vdot(values, values)) / values.size - power) / (count - 1)
    return np.asarray(mean * max(0.0, 1 - variance / power))


def _with_rounded_constants(float_graph: Graph, graph: Graph) -> Graph:
    """The float graph with the numbers that the int8 constants stand for, but for biases."""
    biases = {op.inputs[2] for op in float_graph.operators if op.op in _CONVOLUTIONS}
    changed = []
    for name, tensor in float_graph.tensors.items():
        if tensor.data is None or tensor.dtype != "float32" or name in biases:
            continue
        integers, q = graph.tensors[name].data, graph.quantization(name)
        assert integers is not None
        along = [1] * integers.ndim
        if len(q.scale) > 1:
            along[q.dimension] = -1
        scale, zero = (np.array(values, np.float32).reshape(along) for values in (q.scale, q.zero_point))
        changed.append(Tensor(name, tensor.shape, data=(integers - zero) * scale))
    return float_graph.rebuilt(float_graph.operators, changed)
