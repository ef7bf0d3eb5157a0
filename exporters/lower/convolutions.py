"""Convolutions, linear layers and batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from exporters.lower.arrays import array, batch_norm
from exporters.lower.builder import Builder
from exporters.lower.padding import Padding
from exporters.lower.pools import pair
from exporters.lower.registry import register, register_function
from exporters.lower.value import Value

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


@register(nn.Conv2d, takes_margins=True)
def conv2d(module: nn.Conv2d, builder: Builder, x: Value) -> Value:
    return lower_conv2d(module, builder, x, _padding(module.padding))


def _padding(padding: Any) -> Padding:
    return padding.upper() if isinstance(padding, str) else pair(padding)


@register_function(F.conv2d, torch.conv2d, takes_margins=True)
def conv2d_function(
    builder: Builder, x: Value, weight: torch.Tensor, bias: torch.Tensor | None = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Value:  # fmt: skip
    _need_constants(builder, weight, bias)
    offsets = None if bias is None else array(bias)
    return builder.conv(
        x, array(weight), offsets,
        stride=pair(stride), padding=_padding(padding), dilation=pair(dilation), groups=groups,
    )  # fmt: skip


@register_function(F.pad, takes_margins=True)
def pad(builder: Builder, x: Value, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Zeros around a map, for the convolution that reads it."""
    sizes = [*pad, *([0] * (6 - len(pad)))]
    if (
        mode != "constant"
        or value not in (None, 0)
        or len(sizes) > 6
        or any(sizes[4:])
        or min(sizes) < 0
        or not x.is_map
    ):
        raise builder.refuse(
            f"padding {list(pad)} in the mode {mode!r}" + (f" with {value}" if value else "") + " is not supported",
            "pad the height and the width with zeros, or give the padding to the convolution or pooling layer",
        )
    (top, bottom), (left, right) = x.margins
    return replace(x, margins=((top + sizes[2], bottom + sizes[3]), (left + sizes[0], right + sizes[1])))


@register(nn.ZeroPad2d, takes_margins=True)
def zero_pad(module: nn.ZeroPad2d, builder: Builder, x: Value) -> Value:
    return pad(builder, x, module.padding)


@register(nn.ConstantPad2d, takes_margins=True)
def constant_pad(module: nn.ConstantPad2d, builder: Builder, x: Value) -> Value:
    return pad(builder, x, module.padding, value=module.value)


@register(nn.Linear)
def linear(module: nn.Linear, builder: Builder, x: Value) -> Value:
    return linear_function(builder, x, module.weight, module.bias)


@register_function(F.linear)
def linear_function(builder: Builder, x: Value, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Value:
    """A convolution whose kernel covers the map: FULLY_CONNECTED rounds differently in TFLM and LiteRT.

    (TFLM rounds the product twice, LiteRT's reference kernel once; a convolution is the same in both.)
    """
    _need_constants(builder, weight, bias)
    if len(x.shape) != 4 or not x.is_flat:
        raise builder.refuse(
            f"a Linear over the last axis of {list(x.torch_shape)} is not supported",
            "flatten first, or use a 1x1 Conv2d",
        )
    _, h, w, c = x.shape
    features, inputs = weight.shape
    if inputs != c * h * w:
        raise builder.refuse(f"a Linear of {inputs} inputs meets {c * h * w} values")
    kernel = array(weight).reshape(features, c, h, w)
    y = builder.conv(Value(x.name, x.shape), kernel, None if bias is None else array(bias))
    return y.seen_as((1, features))


@register(nn.BatchNorm2d, nn.BatchNorm1d)
def batch_norm_layer(module: nn.BatchNorm2d | nn.BatchNorm1d, builder: Builder, x: Value) -> Value:
    if isinstance(module, nn.BatchNorm1d) and not (x.is_vector and x.is_flat):
        raise builder.refuse(
            f"a BatchNorm1d on {list(x.torch_shape)} is not supported", "use BatchNorm2d in front of the flatten"
        )
    if module.num_features != x.shape[3]:
        raise builder.refuse(f"a normalisation of {module.num_features} channels meets {x.shape[3]}")
    try:
        scale, shift = batch_norm(module)
    except ValueError as error:
        raise builder.refuse(str(error), "set track_running_stats=True") from None
    return builder.affine(x, scale, shift)


def _need_constants(builder: Builder, *weights: Any) -> None:
    if any(isinstance(weight, Value) for weight in weights):
        raise builder.refuse("weights that depend on the input are not supported", "use weights that training learns")
