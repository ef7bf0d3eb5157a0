"""Where convolutions and pools read: the window of each output pixel, from the operator's options."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.model import Operator, Tensors
from firmware_sim.schema import PADDING


@dataclass(frozen=True, slots=True)
class Axis:
    """Height or width: sizes of input and output, kernel, stride, dilation, and the padding before the first pixel."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Geometry of an operator from [N, H, W, in_channels] to [N, OH, OW, out_channels]; channels are counted in bytes."""

    batches: int
    height: Axis
    width: Axis
    in_bytes: int
    out_bytes: int


def same_padding(size: int, out: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Rows or columns that SAME puts in front (lite/kernels/padding.h); the odd one goes behind."""
    return max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) // 2


def windows(operator: Operator, tensors: Tensors, in_element: int, out_element: int) -> Windows | None:
    """Windows of a convolution or pool; None where shapes and options do not make sense together.

    Args:
        operator: CONV_2D, DEPTHWISE_CONV_2D, AVERAGE_POOL_2D or MAX_POOL_2D.
        tensors: those of its subgraph, with the shapes that the kernel sees.
        in_element: bytes of an input element.
        out_element: bytes of an output element.
    """
    data, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    if len(data.shape) != 4 or len(result.shape) != 4 or data.shape[0] != result.shape[0]:
        return None
    if operator.op.endswith("POOL_2D"):
        kernel = operator.option("filter_height"), operator.option("filter_width")
    else:
        weights = tensors[operator.inputs[1]]
        if len(weights.shape) != 4:
            return None
        kernel = weights.shape[1], weights.shape[2]
    axes = tuple(
        _axis(operator, name, data.shape[index], result.shape[index], kernel[index - 1])
        for index, name in ((1, "h"), (2, "w"))
    )
    if any(min(axis.size, axis.out, axis.kernel, axis.stride, axis.dilation) < 1 for axis in axes):
        return None
    return Windows(data.shape[0], axes[0], axes[1], data.shape[3] * in_element, result.shape[3] * out_element)


def _axis(operator: Operator, name: str, size: int, out: int, kernel: int) -> Axis:
    stride, dilation = operator.option(f"stride_{name}"), operator.option(f"dilation_{name}_factor", 1)
    is_same = operator.option("padding") == PADDING["SAME"]
    return Axis(
        size, out, kernel, stride, dilation, same_padding(size, out, kernel, stride, dilation) if is_same else 0
    )
