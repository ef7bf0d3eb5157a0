"""Folds PAD into the convolution that follows, which then pads by itself and needs no padded copy of its input.

TFLite knows SAME and VALID padding only. Where SAME does not put as many rows in front as the PAD did, rows and columns of
zero weights are added to the kernel until it does: zero weights, and rows outside the image, add nothing to a sum.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from math import prod
from struct import unpack_from

import numpy as np

from firmware_sim.model import Operator, Tensor
from firmware_sim.overlap.windows import same_padding
from firmware_sim.rewrite.draft import NEW_BUFFER, Draft, DraftGraph
from firmware_sim.schema import PADDING

# Zero in these means a weight of zero; an int4 is packed and a uint8 has a zero point.
_ELEMENT_BYTES = {"INT8": 1, "FLOAT32": 4}
_PAIRS = {"INT32": "<8i", "INT64": "<8q"}  # of the four axes


@dataclass(frozen=True, slots=True)
class _Fit:
    """Rows of zero weights before and behind the kernel."""

    before: int
    behind: int


def fold_padding(draft: Draft, only: Container[int] | None = None) -> Draft:
    """Every PAD that can be folded is, or those of some numbers only; see the module."""
    for number, graph in enumerate(draft.graphs):
        draft = draft.with_graph(number, _folded(graph, only))
    return draft


def _folded(graph: DraftGraph, only: Container[int] | None) -> DraftGraph:
    for pad in graph.operators:
        if only is not None and pad.index not in only:
            continue
        if pad.op in ("PAD", "PADV2") and not pad.is_custom and min(pad.inputs[:2], default=-1) >= 0:
            graph = _without(graph, pad)
    return graph


def _without(graph: DraftGraph, pad: Operator) -> DraftGraph:
    result = pad.outputs[0]
    following = [operator for operator in graph.operators if result in operator.inputs]
    if len(following) != 1 or graph.readers()[result] != 1 or following[0].inputs[0] != result:
        return graph
    convolution = following[0]
    if convolution.op not in ("CONV_2D", "DEPTHWISE_CONV_2D") or convolution.is_custom:
        return graph
    if convolution.option("padding") != PADDING["VALID"] or not _pads_with_zero_point(graph, pad):
        return graph
    margins = _margins(graph.tensors[pad.inputs[1]])
    weights = graph.tensors[convolution.inputs[1]]
    if margins is None or len(weights.shape) != 4 or len(graph.tensors[result].shape) != 4:
        return graph
    fits = [_fit(graph, pad, convolution, axis, margins[axis]) for axis in (1, 2)]
    if fits[0] is None or fits[1] is None:
        return graph
    wider = _extended(graph, weights, fits[0], fits[1])
    if wider is None:
        return graph
    folded = replace(
        convolution,
        inputs=(pad.inputs[0], *convolution.inputs[1:]),
        options={**convolution.options, "padding": PADDING["SAME"]},
    )
    operators = tuple(folded if o is convolution else o for o in graph.operators if o is not pad)
    tensors = {index: tensor for index, tensor in graph.tensors.items() if index != result}
    return replace(graph, operators=operators, tensors={**tensors, wider.index: wider})


def _pads_with_zero_point(graph: DraftGraph, pad: Operator) -> bool:
    """PAD pads with the zero point of its output (kernels/pad.cc); PADV2 with what it is given."""
    data, result = graph.tensors[pad.inputs[0]], graph.tensors[pad.outputs[0]]
    if data.quantization != result.quantization or data.type != result.type or data.data is not None:
        return False
    if pad.op == "PAD":
        return True
    value = graph.tensors[pad.inputs[2]] if len(pad.inputs) > 2 and pad.inputs[2] >= 0 else None
    if value is None or value.data is None or data.type not in ("INT8", "FLOAT32"):
        return False
    zero: int = data.quantization.zero_point[0] if data.quantization and data.quantization.zero_point else 0
    given: float = unpack_from("<b" if data.type == "INT8" else "<f", value.data)[0]
    return given == zero


def _margins(paddings: Tensor) -> list[tuple[int, int]] | None:
    """Rows before and behind, per axis, if only height and width are padded."""
    layout = _PAIRS.get(paddings.type)
    if layout is None or paddings.data is None or paddings.shape != (4, 2):
        return None
    values: tuple[int, ...] = unpack_from(layout, paddings.data)
    margins = list(zip(values[::2], values[1::2], strict=True))
    return margins if not any((*margins[0], *margins[3])) and min(values) >= 0 else None


def _fit(graph: DraftGraph, pad: Operator, convolution: Operator, axis: int, margin: tuple[int, int]) -> _Fit | None:
    """The fewest rows of zeros with which SAME reads what the padded VALID convolution read; None if there are none.

    Each row costs multiplications, so that more rows of zeros than the kernel has are not worth it.
    """
    name = "h" if axis == 1 else "w"
    size = graph.tensors[pad.inputs[0]].shape[axis]
    out = graph.tensors[convolution.outputs[0]].shape[axis]
    kernel = graph.tensors[convolution.inputs[1]].shape[axis]
    stride, dilation = convolution.option(f"stride_{name}"), convolution.option(f"dilation_{name}_factor", 1)
    if stride < 1 or out != -(-size // stride):
        return None
    fits = (
        _Fit(before, rows - before)
        for rows in range(kernel + 1 if dilation == 1 else 1)
        for before in range(rows + 1)
        if same_padding(size, out, kernel + rows, stride, dilation) == margin[0] + before
    )
    return next(fits, None)


def _extended(graph: DraftGraph, weights: Tensor, height: _Fit, width: _Fit) -> Tensor | None:
    """The weights with zeros around them; None if they cannot be changed."""
    around = (height.before, height.behind, width.before, width.behind)
    if not any(around):
        return weights
    element = _ELEMENT_BYTES.get(weights.type)
    if element is None or weights.data is None or graph.readers()[weights.index] != 1:
        return None
    if len(weights.data) != prod(weights.shape) * element:  # stored sparse or compressed
        return None
    values = np.frombuffer(weights.data, np.uint8).reshape(*weights.shape, element)
    wider = np.pad(values, ((0, 0), around[:2], around[2:], (0, 0), (0, 0)))
    return replace(weights, shape=wider.shape[:4], data=memoryview(wider.tobytes()), buffer=NEW_BUFFER)
