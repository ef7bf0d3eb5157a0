"""Convolutions, linear layers and batch normalisation."""

from __future__ import annotations

from typing import cast

from torch import nn

from exporters.lower.arrays import array, batch_norm
from exporters.lower.builder import Builder, Value
from exporters.lower.padding import Padding
from exporters.lower.registry import register

Pair = tuple[int, int]


def lower_conv2d(module: nn.Conv2d, builder: Builder, x: Value, padding: Padding) -> Value:
    """A Conv2d under an explicit padding; what layers with padding of their own call."""
    if module.padding_mode != "zeros":
        raise builder.refuse(f"padding mode {module.padding_mode!r} is not supported", "use zeros")
    return builder.conv(
        x,
        array(module.weight),
        None if module.bias is None else array(module.bias),
        stride=cast(Pair, module.stride),
        padding=padding,
        dilation=cast(Pair, module.dilation),
        groups=module.groups,
    )


@register(nn.Conv2d)
def conv2d(module: nn.Conv2d, builder: Builder, x: Value) -> Value:
    padding = module.padding.upper() if isinstance(module.padding, str) else cast(Pair, module.padding)
    return lower_conv2d(module, builder, x, padding)


@register(nn.Linear)
def linear(module: nn.Linear, builder: Builder, x: Value) -> Value:
    """A convolution whose kernel covers the map: FULLY_CONNECTED rounds differently in TFLM and LiteRT.

    (TFLM rounds the product twice, LiteRT's reference kernel once; a convolution is the same in both.)
    """
    if len(x.shape) != 4 or not (x.flat or x.shape[1:3] == (1, 1)):
        raise builder.refuse(
            f"a Linear over the last axis of {list(x.torch_shape)} is not supported",
            "flatten first, or use a 1x1 Conv2d",
        )
    _, h, w, c = x.shape
    if module.in_features != c * h * w:
        raise builder.refuse(f"a Linear of {module.in_features} inputs meets {c * h * w} values")
    weight = array(module.weight).reshape(module.out_features, c, h, w)
    whole = Value(x.name, x.shape)
    y = builder.conv(whole, weight, None if module.bias is None else array(module.bias))
    return Value(y.name, y.shape, flat=True)


@register(nn.BatchNorm2d)
def batch_norm_2d(module: nn.BatchNorm2d, builder: Builder, x: Value) -> Value:
    try:
        scale, shift = batch_norm(module)
    except ValueError as error:
        raise builder.refuse(str(error), "set track_running_stats=True") from None
    return builder.affine(x, scale, shift)
