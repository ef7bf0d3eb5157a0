"""Convolutions and overlapping pools with padding of their own."""

from __future__ import annotations

from exporters.lower import Builder, Value, register
from exporters.lower.convolutions import lower_conv2d
from sapool.layers import Conv2dSame, MaxPool2dSame


@register(Conv2dSame)
def conv2d_same(module: Conv2dSame, builder: Builder, x: Value) -> Value:
    return lower_conv2d(module, builder, x, "SAME")


@register(MaxPool2dSame)
def max_pool2d_same(module: MaxPool2dSame, builder: Builder, x: Value) -> Value:
    return builder.pool(x, "MAX_POOL_2D", (module.kernel,) * 2, (module.stride,) * 2, "SAME")
