"""Pooling layers of torch."""

from __future__ import annotations

from typing import Any

from torch import nn

from exporters.lower.builder import Builder, Value
from exporters.lower.registry import register


def pair(value: Any) -> tuple[int, int]:
    """A size as torch takes it: one number for both axes, or two."""
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


@register(nn.MaxPool2d)
def max_pool(module: nn.MaxPool2d, builder: Builder, x: Value) -> Value:
    if module.ceil_mode or module.return_indices or pair(module.dilation) != (1, 1):
        raise builder.refuse("ceil_mode, return_indices and dilation of a MaxPool2d are not supported", None)
    kernel = pair(module.kernel_size)
    return builder.pool(x, "MAX_POOL_2D", kernel, pair(module.stride or kernel), pair(module.padding))


@register(nn.AvgPool2d)
def average_pool(module: nn.AvgPool2d, builder: Builder, x: Value) -> Value:
    if module.ceil_mode or module.divisor_override is not None:
        raise builder.refuse("ceil_mode and divisor_override of an AvgPool2d are not supported", None)
    if pair(module.padding) != (0, 0) and module.count_include_pad:
        raise builder.refuse("AvgPool2d counts its padding, TFLite does not", "use count_include_pad=False")
    kernel = pair(module.kernel_size)
    return builder.pool(x, "AVERAGE_POOL_2D", kernel, pair(module.stride or kernel), pair(module.padding))


@register(nn.AdaptiveAvgPool2d)
def adaptive_average_pool(module: nn.AdaptiveAvgPool2d, builder: Builder, x: Value) -> Value:
    return adaptive(builder, x, module.output_size)


def adaptive(builder: Builder, x: Value, output_size: Any) -> Value:
    """Average pooling to a given extent.

    Raises:
        ExportError: the extent does not divide the map's, so that windows would differ in size.
    """
    sizes = (output_size, output_size) if output_size is None or isinstance(output_size, int) else tuple(output_size)
    _, h, w, _ = x.shape
    rows, columns = sizes[0] or h, sizes[1] or w
    if h % rows or w % columns:
        raise builder.refuse(f"adaptive pooling from {h}x{w} to {rows}x{columns} needs windows of several sizes", None)
    if (rows, columns) == (h, w):
        return x
    window = (h // rows, w // columns)
    return builder.pool(x, "AVERAGE_POOL_2D", window, window)
