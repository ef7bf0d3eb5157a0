"""Runs a float graph in torch: for calibration, and to prove that a lowering computes what the module computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.graph import Graph, Operator
from exporters.lower.padding import Window

_FEW_PIXELS: Final = 8192  # of all examples; a product of matrices is quicker there, and needs no preparation

Observe = Callable[[str, torch.Tensor], None]
Finish = Callable[[Operator, torch.Tensor], torch.Tensor]
"""What an operator gives, from what it computes in front of its activation."""

Batch = NDArray[np.float32] | Sequence[NDArray[np.float32]]


def activate(op: Operator, x: torch.Tensor) -> torch.Tensor:
    """The activation that an operator carries, in place: `x` is what the operator made, which nobody has seen yet."""
    kind = op.options.get("fused_activation_function", "NONE")
    return x if kind == "NONE" else _FUSED[str(kind)](x)


def run(
    graph: Graph, batch: Batch, observe: Observe | None = None, finish: Finish = activate
) -> tuple[NDArray[np.float32], ...]:
    """The outputs of a float graph for a batch.

    Args:
        graph: a graph before quantisation.
        batch: [B, H, W, C], or one such array for each input; B may be larger than the graph's 1.
        observe: called with the name and the values of the inputs and of every computed tensor, [B, ...].
        finish: called with every operator and what it computed, [B, ...], which it may change in place.

    Raises:
        ExportError: the batch is empty, does not have the shapes of the inputs, is not float32 or not finite.
    """
    values = {name: torch.as_tensor(t.data) for name, t in graph.tensors.items() if t.data is not None}
    values.update(_inputs(graph, batch))
    readers = graph.consumers()
    with torch.inference_mode():
        if observe is not None:
            for source in graph.inputs:
                observe(source, values[source])
        for index, op in enumerate(graph.operators):
            inputs = [values[name] for name in op.inputs if name is not None]
            result = finish(op, _computed(op, *inputs))
            values[op.outputs[0]] = result
            if observe is not None:
                observe(op.outputs[0], result)
            for name in op.inputs:  # a map that nobody reads again is given back
                if name is not None and readers[name][-1] == index and name not in graph.outputs:
                    values.pop(name, None)
    return tuple(values[name].numpy() for name in graph.outputs)


def apply(op: Operator, *inputs: torch.Tensor) -> torch.Tensor:
    """What one operator gives for its inputs, constants among them, in the order of the operator; absent ones left out."""
    with torch.inference_mode():
        return activate(op, _computed(op, *inputs))


def _computed(op: Operator, *inputs: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = _OPERATORS[op.op](op, *inputs)
    return result


def arrays(batch: Batch) -> tuple[NDArray[np.float32], ...]:
    """The arrays of all inputs, whether one was given or several."""
    return (batch,) if isinstance(batch, np.ndarray) else tuple(batch)


def _inputs(graph: Graph, batch: Batch) -> dict[str, torch.Tensor]:
    given = arrays(batch)
    if len(given) != len(graph.inputs):
        raise ExportError(f"{len(given)} arrays for a graph with {len(graph.inputs)} inputs")
    for name, array in zip(graph.inputs, given, strict=True):
        shape = graph.tensors[name].shape
        if array.shape[1:] != shape[1:]:
            raise ExportError(
                f"inputs of shape {list(array.shape[1:])} for a graph that takes {list(shape[1:])}",
                where=name,
                hint="arrays are [B, H, W, C], with the channels last, at the network's resolution",
            )
        if not len(array):
            raise ExportError("a batch without an example", where=name, hint="leave it out")
        if array.dtype != np.float32:
            raise ExportError(
                f"inputs of type {array.dtype}, not float32", where=name, hint="scale them as in training, to float32"
            )
        if not np.isfinite(array).all():
            raise ExportError("inputs that are NaN or infinite", where=name, hint="look at the data or their scaling")
    return {name: torch.as_tensor(array) for name, array in zip(graph.inputs, given, strict=True)}


def _pair(op: Operator, stem: str, *suffix: str) -> tuple[int, int]:
    end = "".join(suffix)
    return int(op.options[f"{stem}_{'h' if stem != 'filter' else 'height'}{end}"]), int(  # type: ignore[arg-type]
        op.options[f"{stem}_{'w' if stem != 'filter' else 'width'}{end}"]  # type: ignore[arg-type]
    )


def _padding(
    op: Operator, extents: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int] = (1, 1)
) -> tuple[tuple[int, int], ...]:
    """Rows above and below, and columns left and right, with which an operator surrounds a map of these extents."""
    if op.options["padding"] == "VALID":
        return (0, 0), (0, 0)
    totals = [Window(*axis).same_total for axis in zip(extents, kernel, stride, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _padded(
    op: Operator, x: torch.Tensor, kernel: tuple[int, int], stride: tuple[int, int], *, fill: float = 0.0
) -> torch.Tensor:
    """[B, C, H, W] padded as TFLite's SAME does; unchanged for VALID."""
    return _surrounded(x, _padding(op, x.shape[2:], kernel, stride), fill)


def _surrounded(x: torch.Tensor, pads: Sequence[tuple[int, int]], fill: float = 0.0) -> torch.Tensor:
    rows, columns = pads
    return F.pad(x, (*columns, *rows), value=fill) if any((*rows, *columns)) else x


def _spacing(op: Operator) -> tuple[tuple[int, int], tuple[int, int]]:
    """Stride and dilation of a convolution, along rows and columns."""
    return _pair(op, "stride"), _pair(op, "dilation", "_factor")


def _conv(op: Operator, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    stride, dilation = _spacing(op)
    depthwise = op.op == "DEPTHWISE_CONV_2D"
    if (
        not depthwise
        and weight.shape[1:] == (1, 1, x.shape[3])
        and stride == (1, 1)
        and x[..., 0].numel() <= _FEW_PIXELS
    ):
        return F.linear(x, weight.flatten(1), bias)
    kernel = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
    groups = x.shape[3] if depthwise else x.shape[3] // weight.shape[3]
    nchw = x.permute(0, 3, 1, 2)
    pads = _padding(op, nchw.shape[2:], kernel.shape[2:], stride, dilation)
    (top, bottom), (left, right) = pads
    if top == bottom and left == right:  # the convolution pads by itself, without a larger copy of the map
        return F.conv2d(nchw, kernel, bias, stride, (top, left), dilation, groups).permute(0, 2, 3, 1)
    return F.conv2d(_surrounded(nchw, pads), kernel, bias, stride, 0, dilation, groups).permute(0, 2, 3, 1)


def _average_pool(op: Operator, x: torch.Tensor) -> torch.Tensor:
    kernel, stride = _pair(op, "filter"), _pair(op, "stride")
    nchw = x.permute(0, 3, 1, 2)
    padded = _padded(op, nchw, kernel, stride)
    mean = F.avg_pool2d(padded, kernel, stride)
    if padded is not nchw:
        # TFLite divides by the number of pixels inside the map, not by the window's size.
        mean /= F.avg_pool2d(_padded(op, torch.ones_like(nchw[:1, :1]), kernel, stride), kernel, stride)
    return mean.permute(0, 2, 3, 1)


def _max_pool(op: Operator, x: torch.Tensor) -> torch.Tensor:
    kernel, stride = _pair(op, "filter"), _pair(op, "stride")
    nchw = _padded(op, x.permute(0, 3, 1, 2), kernel, stride, fill=float("-inf"))
    return F.max_pool2d(nchw, kernel, stride).permute(0, 2, 3, 1)


def _mirror_pad(op: Operator, x: torch.Tensor, paddings: torch.Tensor) -> torch.Tensor:
    (top, bottom), (left, right) = paddings.tolist()[1:3]
    return F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), mode="reflect").permute(0, 2, 3, 1)


def _reshape(op: Operator, x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    return x.reshape(x.shape[0], *(int(n) for n in shape[1:]))


def _batch_matmul(op: Operator, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ (b.transpose(-1, -2) if op.options["adj_y"] else b)


def _softmax(op: Operator, x: torch.Tensor) -> torch.Tensor:
    beta = float(op.options["beta"])  # type: ignore[arg-type]
    return torch.softmax(x if beta == 1 else x * beta, dim=-1)


def _resize(op: Operator, x: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x.permute(0, 3, 1, 2), [int(n) for n in size], mode="nearest").permute(0, 2, 3, 1)


def _slice(op: Operator, x: torch.Tensor, begin: torch.Tensor, extent: torch.Tensor) -> torch.Tensor:
    (_, h, w, c), (_, rows, columns, channels) = begin.tolist(), extent.tolist()
    return x[:, h : h + rows, w : w + columns, c : c + channels]


_FUSED: Final[Mapping[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "RELU": F.relu_,
    "RELU6": partial(F.relu6, inplace=True),
}
_OPERATORS: Final[Mapping[str, Callable[..., Any]]] = {
    "ADD": lambda op, a, b: a + b,
    "AVERAGE_POOL_2D": _average_pool,
    "BATCH_MATMUL": _batch_matmul,
    "CONCATENATION": lambda op, *values: torch.cat(values, dim=int(op.options["axis"])),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "DIV": lambda op, a, b: a / b,
    "HARD_SWISH": lambda op, x: F.hardswish(x),
    "LEAKY_RELU": lambda op, x: F.leaky_relu(x, float(op.options["alpha"])),
    "LOGISTIC": lambda op, x: torch.sigmoid(x),
    "LOG_SOFTMAX": lambda op, x: torch.log_softmax(x, dim=-1),
    "MAX_POOL_2D": _max_pool,
    "MIRROR_PAD": _mirror_pad,
    "MUL": lambda op, a, b: a * b,
    "RELU": lambda op, x: F.relu(x),
    "RELU6": lambda op, x: F.relu6(x),
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SUB": lambda op, a, b: a - b,
    "TANH": lambda op, x: torch.tanh(x),
}
