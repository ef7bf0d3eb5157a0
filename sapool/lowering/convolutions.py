"""Convolutions with padding of their own."""

from __future__ import annotations

from exporters.lower import Builder, Value, register
from exporters.lower.convolutions import lower_conv2d
from sapool.layers import Conv2dSame


@register(Conv2dSame)
def conv2d_same(module: Conv2dSame, builder: Builder, x: Value) -> Value:
    return lower_conv2d(module, builder, x, "SAME")
