"""Activations, and the modules that do nothing in evaluation mode."""

from __future__ import annotations

from torch import nn

from exporters.lower.builder import Builder, Value
from exporters.lower.registry import register


@register(nn.ReLU)
def relu(module: nn.ReLU, builder: Builder, x: Value) -> Value:
    return builder.unary("RELU", x)


@register(nn.ReLU6)
def relu6(module: nn.ReLU6, builder: Builder, x: Value) -> Value:
    return builder.unary("RELU6", x)


@register(nn.Sigmoid)
def sigmoid(module: nn.Sigmoid, builder: Builder, x: Value) -> Value:
    return builder.unary("LOGISTIC", x)


@register(nn.Hardswish)
def hardswish(module: nn.Hardswish, builder: Builder, x: Value) -> Value:
    return builder.unary("HARD_SWISH", x)


@register(nn.Softmax)
def softmax(module: nn.Softmax, builder: Builder, x: Value) -> Value:
    return softmax_over_channels(builder, x, module.dim)


def softmax_over_channels(builder: Builder, x: Value, dim: int | None) -> Value:
    """Softmax over the channels, TFLite's last axis.

    Raises:
        ExportError: over another axis, or over a flattened map larger than 1x1.
    """
    if dim not in (1, 1 - len(x.torch_shape)) or (x.flat and x.shape[1:3] != (1, 1)):
        raise builder.refuse(f"softmax over axis {dim} of {list(x.torch_shape)} is not supported", "use dim=1")
    return builder.softmax(x)


@register(nn.Identity, nn.Dropout, nn.Dropout2d)
def nothing(module: nn.Module, builder: Builder, x: Value) -> Value:
    return x


@register(nn.Flatten)
def flatten(module: nn.Flatten, builder: Builder, x: Value) -> Value:
    if module.start_dim != 1 or module.end_dim not in (-1, len(x.torch_shape) - 1):
        raise builder.refuse(
            f"flatten from axis {module.start_dim} to {module.end_dim} is not supported", "flatten from 1"
        )
    return Value(x.name, x.shape, flat=True)
