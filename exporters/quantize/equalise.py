"""Cross-layer equalisation: channels that differ in size are scaled alike, and the next layer scales them back.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (arXiv 1906.04721), section 4.1.
Their ranges of weights are those of activations here: kernels have a scale for each output channel anyway, a map has one for
all of its channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.graph import Graph, Operator, Tensor

_CONVOLUTIONS: Final = ("CONV_2D", "DEPTHWISE_CONV_2D")
_POOLS: Final = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
_HOMOGENEOUS: Final = ("NONE", "RELU")  # f(s x) = s f(x) for s > 0; RELU6 is not: its 6 would become another number
# A choice: a channel that the calibration data hardly excited is not blown up without end, for others may excite it.
_MOST: Final = 16.0


@dataclass(frozen=True, slots=True)
class Equalised:
    """A graph that computes the same with other weights.

    Attributes:
        graph: the float graph.
        pairs: the layers (module paths) between which channels were scaled.
        relu6: how many pairs were left alone because a RELU6 lies between them.
    """

    graph: Graph
    pairs: tuple[tuple[str, str], ...]
    relu6: int


def equalise(graph: Graph, spans: Mapping[str, NDArray[np.float64]]) -> Equalised:
    """Scale the channels between two convolutions where nobody else reads them; pools may lie between.

    Only in front of a depthwise convolution, whose kernels have a scale for each channel: there every channel gets the span
    of the largest one and nothing else loses. Kernels of an ordinary convolution share a scale among the channels that they
    read, and what the map gains they lose (docs/decisions/0081-equalisation-where-it-pays.md).

    Args:
        graph: a float graph.
        spans: how far each channel of each computed tensor reaches on calibration data, [C], from `Motion.spans`.
    """
    changed: dict[str, Tensor] = {}
    pairs: list[tuple[str, str]] = []
    relu6 = 0

    def value(name: str | None) -> NDArray[np.float64]:
        data = changed[str(name)].data if name in changed else graph.constant(name)
        return np.asarray(data, np.float64)

    for first, second, exact in _pairs(graph):
        if not exact:
            relu6 += 1
            continue
        factors = _factors(spans[first.outputs[0]])
        if np.ptp(factors) == 0:
            continue
        kernel = value(first.inputs[1])
        along = (-1, 1, 1, 1) if first.op == "CONV_2D" else (1, 1, 1, -1)
        for name, values in (
            (first.inputs[1], kernel / factors.reshape(along)),
            (first.inputs[2], value(first.inputs[2]) / factors),
            (second.inputs[1], value(second.inputs[1]) * factors),
        ):
            changed[str(name)] = Tensor(str(name), values.shape, data=values.astype(np.float32))
        pairs.append((first.where, second.where))
    return Equalised(graph.rebuilt(graph.operators, changed.values()), tuple(pairs), relu6)


def _pairs(graph: Graph) -> Iterator[tuple[Operator, Operator, bool]]:
    """Convolutions and the depthwise ones that follow them, and whether a factor can pass from the one to the other."""
    readers = graph.consumers()

    def only_reader(op: Operator) -> Operator | None:
        name = op.outputs[0]
        return graph.operators[readers[name][0]] if name not in graph.outputs and len(readers[name]) == 1 else None

    for first in graph.operators:
        if first.op not in _CONVOLUTIONS:
            continue
        activations = [first.options["fused_activation_function"]]
        second = only_reader(first)
        while second is not None and second.op in _POOLS:
            activations.append(second.options["fused_activation_function"])
            second = only_reader(second)
        if second is not None and _is_alone(readers, first, second):
            yield first, second, all(kind in _HOMOGENEOUS for kind in activations)


def _is_alone(readers: Mapping[str, list[int]], first: Operator, second: Operator) -> bool:
    """Whether the second one is depthwise without a multiplier, and nobody else reads the constants that would change."""
    if second.op != "DEPTHWISE_CONV_2D" or second.options.get("depth_multiplier", 1) != 1:
        return False
    return all(len(readers[str(name)]) == 1 for name in (*first.inputs[1:], second.inputs[1]))


def _factors(span: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much to divide each channel, between 1 / _MOST and 1; 1 for a channel that is always zero."""
    if not (span > 0).any():
        return np.ones_like(span)
    return np.where(span > 0, np.clip(span / span.max(), 1 / _MOST, 1), 1.0)
