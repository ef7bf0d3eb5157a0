"""Convolutions and pools of the CMSIS-NN kernels, whose buffers depend on the instruction set.

Functions named arm_... are CMSIS-NN's, in Source/ConvolutionFunctions.
"""

from __future__ import annotations

from typing import NamedTuple

from firmware_sim.memory.elements import round_up
from firmware_sim.memory.kernels.context import Node, prepares
from firmware_sim.memory.kernels.convolution import transpose_conv_int16
from firmware_sim.model import Tensor
from firmware_sim.schema import PADDING


class _Window(NamedTuple):
    """One spatial axis of a convolution."""

    size: int
    kernel: int
    stride: int
    dilation: int
    out: int
    pad: int

    @property
    def is_point(self) -> bool:
        return self.kernel == 1 and self.dilation == 1 and self.pad == 0


class _Convolution(NamedTuple):
    """Geometry of a convolution over data [N, H, W, in_channels]."""

    height: _Window
    width: _Window
    in_channels: int
    filter_channels: int

    @property
    def columns(self) -> int:
        """Length of one column of im2col."""
        return self.in_channels * self.width.kernel * self.height.kernel


def _window(node: Node, axis: str, size: int, kernel: int, out: int) -> _Window:
    """TFLite's padding: SAME keeps ceil(size / stride) outputs, VALID pads nothing (lite/kernels/padding.h)."""
    stride = node.operator.option(f"stride_{axis}")
    dilation = node.operator.option(f"dilation_{axis}_factor", 1)
    if min(stride, dilation, kernel) < 1:
        raise node.error(f"kernel {kernel}, stride {stride}, dilation {dilation}")
    pad = 0
    if node.operator.option("padding") == PADDING["SAME"]:
        reach = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
        pad = max(reach - size, 0) // 2
    return _Window(size, kernel, stride, dilation, out, pad)


def _convolution(node: Node, filter_channels_axis: int = 3) -> _Convolution:
    data, weights, result = node.input(0), node.input(1), node.output()
    height, width = (
        _window(
            node,
            name,
            node.dimension(data, axis),
            node.dimension(weights, axis),
            node.dimension(result, axis),
        )
        for name, axis in (("h", 1), ("w", 2))
    )
    return _Convolution(height, width, node.dimension(data, 3), node.dimension(weights, filter_channels_axis))


def _general_s8(isa: str | None, columns: int) -> int:
    """arm_convolve_s8_get_buffer_size: two columns of int16, with Helium four of int8 in steps of 16."""
    return 64 * -(-columns // 16) if isa == "mve" else 4 * round_up(columns, 4)


def _wrapper_s8(isa: str | None, shape: _Convolution) -> int:
    """arm_convolve_wrapper_s8_get_buffer_size: which of the special cases takes the convolution."""
    same_channels = shape.in_channels == shape.filter_channels
    if shape.height.is_point and shape.width.is_point and same_channels:
        return 0
    is_row = (
        shape.height.size == 1
        and shape.height.kernel == 1
        and shape.width.dilation == 1
        and (shape.width.stride * shape.in_channels) % 4 == 0
        and same_channels
    )
    general = _general_s8(isa, shape.columns)
    return _row_s8(shape, general) if is_row and isa == "mve" else general


def _row_s8(shape: _Convolution, general: int) -> int:
    """arm_convolve_1_x_n_s8_get_buffer_size_mve: borders that are copied so that the middle runs without padding."""
    width, channels = shape.width, shape.in_channels
    total = (width.out - 1) * width.stride + width.kernel - width.size
    asymmetry = total % 2 if total >= 0 else -(-total % 2)  # as C does, with the sign of the dividend
    right_pad = width.pad + asymmetry
    right = _border(right_pad, width.stride)
    left = _border(width.pad, width.stride)
    middle = max(width.out - right - left, 0)
    if right + middle + left != width.out:
        return general
    right_columns = right * channels if asymmetry else width.pad * channels
    return max(
        width.kernel * channels + width.pad * channels,
        (width.kernel - 1) * channels + right_columns,
    )


def _border(pad: int, stride: int) -> int:
    if pad == 0:
        return 0
    numerator = pad + stride - 1
    return max(1, numerator // stride if numerator >= 0 else -(-numerator // stride))


def _channel_data(node: Node, channels: int) -> None:
    """Multipliers and shifts; unlike the reference kernels, not for float."""
    if node.input(0).type != "FLOAT32":
        node.persistent(4 * channels, 4 * channels)


def _scratch(node: Node, count: int) -> None:
    if count > 0:
        node.scratch(count)


@prepares("CONV_2D", kernels="cmsis-nn")
def conv_2d(node: Node) -> None:
    """Source: cmsis_nn/conv.cc:81-170; the int4 filter uses the formula of int8."""
    data, weights = node.input(0), node.input(1)
    node.refuse_hybrid(data, weights)
    _channel_data(node, node.dimension(weights, 0))
    isa = node.profile.isa
    if data.type == "INT8":
        _scratch(node, _wrapper_s8(isa, _convolution(node)))
    elif data.type == "INT16":
        columns = _convolution(node).columns
        _scratch(node, 64 * -(-columns // 8) if isa == "mve" else 4 * columns)


@prepares("DEPTHWISE_CONV_2D", kernels="cmsis-nn")
def depthwise_conv_2d(node: Node) -> None:
    """Source: cmsis_nn/depthwise_conv.cc:126-195, arm_depthwise_conv_get_buffer_sizes_s8.c and _s4.c."""
    data, weights = node.input(0), node.input(1)
    node.refuse_hybrid(data, weights)
    out_channels = node.dimension(weights, 3)
    _channel_data(node, out_channels)
    if data.type != "INT8":
        return
    shape = _convolution(node)
    isa = node.profile.isa
    if weights.type == "INT8" and isa == "mve" and shape.in_channels == 1 and out_channels > 1:
        _scratch(node, _single_channel(node, shape, out_channels))
    elif _is_optimised(node, data, shape, out_channels):
        _scratch(node, _optimised(isa, weights, shape))


def _is_optimised(node: Node, data: Tensor, shape: _Convolution, out_channels: int) -> bool:
    return (
        shape.in_channels == out_channels
        and node.dimension(data, 0) == 1
        and shape.height.dilation == 1
        and shape.width.dilation == 1
    )


def _single_channel(node: Node, shape: _Convolution, out_channels: int) -> int:
    """With Helium, one input channel is handed to the ordinary convolution, beside a transposed filter."""
    transposed = out_channels * shape.height.kernel * shape.width.kernel
    one = _Convolution(shape.height, shape.width, 1, 1)
    general = _general_s8("mve", one.columns)
    if shape.height.is_point and shape.width.is_point:
        return transposed
    if shape.height.size == 1 and shape.height.kernel == 1:
        # Prepare leaves the stride unset, on which the test for a row depends (cmsis_nn/depthwise_conv.cc:169-173).
        node.doubts.append(
            "its scratch buffer depends on an uninitialised variable of TFLM; the larger size is counted"
        )
        return general + transposed
    return _wrapper_s8("mve", one) + transposed


def _optimised(isa: str | None, weights: Tensor, shape: _Convolution) -> int:
    taps = shape.width.kernel * shape.height.kernel
    if isa == "mve":
        return 4 * 124 * taps
    if weights.type == "INT4":
        return 2 * shape.in_channels * taps
    if isa != "dsp":
        return 0
    is_3x3 = shape.width.kernel == shape.height.kernel == 3 and max(shape.width.pad, shape.height.pad) <= 1
    return 0 if is_3x3 else 2 * shape.in_channels * taps


@prepares("TRANSPOSE_CONV", kernels="cmsis-nn")
def transpose_conv(node: Node) -> None:
    """Source: cmsis_nn/transpose_conv.cc:134-262, arm_transpose_conv_get_buffer_sizes_s8.c."""
    weights, data = node.input(1), node.input(2)
    node.refuse_hybrid(data, weights)
    channels = node.dimension(weights, 0)
    node.persistent(4 * channels, 4 * channels)
    if data.type == "INT8":
        node.scratch(*_transpose_conv_s8(node, weights, data, channels))
    elif data.type == "INT16":
        transpose_conv_int16(node)


def _transpose_conv_s8(node: Node, weights: Tensor, data: Tensor, channels: int) -> tuple[int, int]:
    stride_h, stride_w = node.operator.option("stride_h"), node.operator.option("stride_w")
    kernel_h, kernel_w = node.dimension(weights, 1), node.dimension(weights, 2)
    in_channels = node.dimension(data, 3)
    if stride_h <= 2 and stride_w <= 2 and in_channels > 16:
        columns = in_channels * kernel_w * kernel_h
        return _general_s8(node.profile.isa, columns), columns * channels
    # The width is held against the vertical stride, as the source does.
    row = (node.dimension(data, 2) - 1) * stride_w + max(kernel_w, stride_h)
    return 4 * row * channels * max(kernel_h, stride_h), 0


@prepares("AVERAGE_POOL_2D", kernels="cmsis-nn")
def average_pool_2d(node: Node) -> None:
    """Source: cmsis_nn/pooling.cc:171-192, arm_avgpool_s8_get_buffer_size_dsp."""
    if node.profile.isa == "dsp" and node.input(0).type in ("INT8", "INT16"):
        node.scratch(4 * node.dimension(node.input(0), 3))
