"""Pooling layers and functions of torch, and resizing."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from exporters.graph import Shape
from exporters.lower.builder import Builder
from exporters.lower.registry import register, register_function
from exporters.lower.value import Value


def pair(value: Any) -> tuple[int, int]:
    """A size as torch takes it: one number for both axes, or two (or a tuple of one)."""
    if isinstance(value, int):
        return value, value
    return int(value[0]), int(value[-1])


@register(nn.MaxPool2d)
def max_pool(module: nn.MaxPool2d, builder: Builder, x: Value) -> Value:
    return max_pool2d(
        builder, x, module.kernel_size, module.stride, module.padding, module.dilation,
        module.ceil_mode, module.return_indices,
    )  # fmt: skip


@register_function(F.max_pool2d, torch.max_pool2d)
def max_pool2d(
    builder: Builder, x: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Value:  # fmt: skip
    if return_indices or pair(dilation) != (1, 1):
        raise builder.refuse("return_indices and dilation of a max pool are not supported", "leave them out")
    kernel = pair(kernel_size)
    return builder.pool(x, "MAX_POOL_2D", kernel, pair(stride or kernel), pair(padding), ceil_mode=ceil_mode)


@register(nn.AvgPool2d)
def average_pool(module: nn.AvgPool2d, builder: Builder, x: Value) -> Value:
    return avg_pool2d(
        builder, x, module.kernel_size, module.stride, module.padding, module.ceil_mode,
        module.count_include_pad, module.divisor_override,
    )  # fmt: skip


@register_function(F.avg_pool2d)
def avg_pool2d(
    builder: Builder, x: Value, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Value:  # fmt: skip
    """AVERAGE_POOL_2D; where the divisor is not the number of pixels inside the map, a depthwise convolution."""
    kernel, pads = pair(kernel_size), pair(padding)
    step = pair(stride or kernel)
    if divisor_override is None and (pads == (0, 0) or not count_include_pad):
        return builder.pool(x, "AVERAGE_POOL_2D", kernel, step, pads, ceil_mode=ceil_mode)
    if ceil_mode:
        raise builder.refuse(
            "an average pool with ceil_mode that counts its padding, or divides by another number, is not supported",
            "use count_include_pad=False, or no ceil_mode",
        )
    channels = x.shape[3]
    share = np.float32(1 / (divisor_override or kernel[0] * kernel[1]))
    return builder.conv(
        x, np.full((channels, 1, *kernel), share), None, stride=step, padding=pads, groups=channels, fixed=True
    )  # fmt: skip


@register(nn.AdaptiveAvgPool2d)
def adaptive_average_pool(module: nn.AdaptiveAvgPool2d, builder: Builder, x: Value) -> Value:
    return adaptive_avg_pool2d(builder, x, module.output_size)


@register_function(F.adaptive_avg_pool2d)
def adaptive_avg_pool2d(builder: Builder, x: Value, output_size: Any) -> Value:
    return _adaptive(builder, "AVERAGE_POOL_2D", x, output_size)


@register(nn.AdaptiveMaxPool2d)
def adaptive_max_pool(module: nn.AdaptiveMaxPool2d, builder: Builder, x: Value) -> Value:
    return adaptive_max_pool2d(builder, x, module.output_size, module.return_indices)


@register_function(F.adaptive_max_pool2d)
def adaptive_max_pool2d(builder: Builder, x: Value, output_size: Any, return_indices: bool = False) -> Value:
    if return_indices:
        raise builder.refuse("return_indices of a max pool is not supported", "leave it out")
    return _adaptive(builder, "MAX_POOL_2D", x, output_size)


def _adaptive(builder: Builder, op: str, x: Value, output_size: Any) -> Value:
    """A pool to a given extent, where torch's windows are of one size and one distance apart.

    Raises:
        ExportError: they are not.
    """
    sizes = (output_size, output_size) if output_size is None or isinstance(output_size, int) else tuple(output_size)
    _, h, w, _ = x.shape
    rows, columns = sizes[0] or h, sizes[-1] or w
    tall, wide = _uniform(h, rows), _uniform(w, columns)
    if tall is None or wide is None:
        raise builder.refuse(
            f"adaptive pooling from {h}x{w} to {rows}x{columns} needs windows of several sizes",
            "choose an extent that divides the map's",
        )
    if (tall, wide) != (_PIXEL, _PIXEL):
        x = builder.pool(x, op, (tall[0], wide[0]), (tall[1], wide[1]))
    factors = max(rows // h, 1), max(columns // w, 1)
    return x if factors == (1, 1) else builder.resize_nearest(x, factors)


_PIXEL: Final = (1, 1)


def _uniform(extent: int, output: int) -> tuple[int, int] | None:
    """Window and stride of adaptive pooling along one axis (torch: from floor(i*n/m) to ceil((i+1)*n/m)), if uniform.

    To a multiple of the extent, each window is a pixel, which is then repeated.
    """
    if output % extent == 0:
        return _PIXEL
    starts = [i * extent // output for i in range(output)]
    sizes = {-(-(i + 1) * extent // output) - start for i, start in enumerate(starts)}
    strides = {b - a for a, b in itertools.pairwise(starts)}
    if len(sizes) > 1 or len(strides) > 1:
        return None
    (size,) = sizes
    return size, strides.pop() if strides else size


@register_function(torch.mean, methods=("mean",))
def mean(builder: Builder, x: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Value:
    """The mean over height, width, both or the channels of a map, as an average pool or a 1x1 convolution."""
    shape = x.torch_shape
    axes = sorted({axis % len(shape) for axis in ((dim,) if isinstance(dim, int) else dim or range(len(shape)))})
    _, h, w, c = x.shape if len(x.shape) == 4 else (1, 0, 0, 0)
    if shape == (1, c, h * w) and axes == [2]:  # a map whose pixels were made one axis
        y = builder.pool(Value(x.name, x.shape), "AVERAGE_POOL_2D", (h, w), (h, w))
    elif x.is_map and axes == [1]:
        y = builder.conv(x, np.full((1, c, 1, 1), 1 / c, np.float32), None, fixed=True)
    elif x.is_map and axes and set(axes) <= {2, 3}:
        window = (h if 2 in axes else 1, w if 3 in axes else 1)
        y = builder.pool(x, "AVERAGE_POOL_2D", window, window)
    else:
        raise builder.refuse(f"a mean over {dim} of {list(shape)} is not supported", "use mean((2, 3))")
    return _reduced(y, shape, axes, keepdim)


@register_function(torch.amax, methods=("amax",))
def amax(builder: Builder, x: Value, dim: Any = (), keepdim: bool = False) -> Value:
    """The largest of a map's pixels, as a max pool."""
    axes = {axis % len(x.torch_shape) for axis in ((dim,) if isinstance(dim, int) else dim)}
    if not x.is_map or not axes or not axes <= {2, 3}:
        raise builder.refuse(f"amax over {dim} of {list(x.torch_shape)} is not supported", "use amax((2, 3))")
    window = (x.shape[1] if 2 in axes else 1, x.shape[2] if 3 in axes else 1)
    y = builder.pool(x, "MAX_POOL_2D", window, window)
    return _reduced(y, x.torch_shape, axes, keepdim)


def _reduced(y: Value, shape: Shape, axes: Collection[int], keepdim: bool) -> Value:
    """What is left of a tensor of that shape, as torch sees it."""
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return y.seen_as(kept if keepdim else tuple(n for axis, n in enumerate(shape) if axis not in axes))


@register(nn.Upsample)
def upsample(module: nn.Upsample, builder: Builder, x: Value) -> Value:
    return interpolate(builder, x, module.size, module.scale_factor, module.mode)


@register_function(F.interpolate)
def interpolate(
    builder: Builder, x: Value, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Value:  # fmt: skip
    _, h, w, _ = x.shape
    if mode not in ("nearest", "nearest-exact") or antialias:
        raise builder.refuse(f"interpolation mode {mode!r} is not supported", 'use mode="nearest"')
    if scale_factor is not None:
        factors = (scale_factor, scale_factor) if isinstance(scale_factor, (int, float)) else tuple(scale_factor)
    else:
        rows, columns = pair(size)
        factors = (rows / h, columns / w)
    if any(factor != int(factor) or factor < 1 for factor in factors):
        raise builder.refuse(f"interpolation by {factors} is not supported", "use whole factors")
    return builder.resize_nearest(x, (int(factors[0]), int(factors[-1])))
