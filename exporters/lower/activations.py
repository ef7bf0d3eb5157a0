"""Activations, and the modules that do nothing in evaluation mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from exporters.lower.builder import Builder
from exporters.lower.registry import register, register_function
from exporters.lower.value import Value


@register(nn.ReLU)
def relu(module: nn.ReLU, builder: Builder, x: Value) -> Value:
    return builder.unary("RELU", x)


@register(nn.ReLU6)
def relu6(module: nn.ReLU6, builder: Builder, x: Value) -> Value:
    return builder.unary("RELU6", x)


@register(nn.Hardtanh)
def hardtanh(module: nn.Hardtanh, builder: Builder, x: Value) -> Value:
    return clamp(builder, x, module.min_val, module.max_val)


@register(nn.LeakyReLU)
def leaky_relu(module: nn.LeakyReLU, builder: Builder, x: Value) -> Value:
    return builder.unary("LEAKY_RELU", x, {"alpha": float(module.negative_slope)})


@register(nn.Sigmoid)
def sigmoid(module: nn.Sigmoid, builder: Builder, x: Value) -> Value:
    return builder.unary("LOGISTIC", x)


@register(nn.Tanh)
def tanh(module: nn.Tanh, builder: Builder, x: Value) -> Value:
    return builder.unary("TANH", x)


@register(nn.SiLU)
def silu(module: nn.SiLU, builder: Builder, x: Value) -> Value:
    return _silu(builder, x)


@register(nn.Hardswish)
def hardswish(module: nn.Hardswish, builder: Builder, x: Value) -> Value:
    return builder.unary("HARD_SWISH", x)


@register(nn.Hardsigmoid)
def hardsigmoid(module: nn.Hardsigmoid, builder: Builder, x: Value) -> Value:
    return _hardsigmoid(builder, x)


@register(nn.Softmax)
def softmax(module: nn.Softmax, builder: Builder, x: Value) -> Value:
    return over_channels(builder, "SOFTMAX", x, module.dim)


@register(nn.LogSoftmax)
def log_softmax(module: nn.LogSoftmax, builder: Builder, x: Value) -> Value:
    return over_channels(builder, "LOG_SOFTMAX", x, module.dim)


@register(
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
    takes_margins=True,
)  # fmt: skip
def nothing(module: nn.Module, builder: Builder, x: Value) -> Value:
    return x


@register_function(F.relu, torch.relu, torch.relu_, F.relu_, methods=("relu", "relu_"))
def _relu(builder: Builder, x: Value, inplace: bool = False) -> Value:
    return builder.unary("RELU", x)


@register_function(F.relu6)
def _relu6(builder: Builder, x: Value, inplace: bool = False) -> Value:
    return builder.unary("RELU6", x)


@register_function(F.hardtanh, F.hardtanh_)
def _hardtanh(builder: Builder, x: Value, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Value:
    return clamp(builder, x, min_val, max_val)


@register_function(torch.clamp, torch.clip, torch.clamp_, methods=("clamp", "clamp_", "clip", "clip_"))
def clamp(builder: Builder, x: Value, min: float | None = None, max: float | None = None) -> Value:
    """The two clamps that TFLite has int8 activations for.

    Raises:
        ExportError: other limits.
    """
    if min == 0 and max in (None, 6):
        return builder.unary("RELU" if max is None else "RELU6", x)
    raise builder.refuse(
        f"a clamp to {min}..{max} is not supported", "use limits of 0 and 6 (ReLU6), or 0 alone (ReLU)"
    )


@register_function(F.leaky_relu, F.leaky_relu_)
def _leaky_relu(builder: Builder, x: Value, negative_slope: float = 0.01, inplace: bool = False) -> Value:
    return builder.unary("LEAKY_RELU", x, {"alpha": float(negative_slope)})


@register_function(F.sigmoid, torch.sigmoid, torch.sigmoid_, methods=("sigmoid", "sigmoid_"))
def _sigmoid(builder: Builder, x: Value) -> Value:
    return builder.unary("LOGISTIC", x)


@register_function(F.tanh, torch.tanh, torch.tanh_, methods=("tanh", "tanh_"))
def _tanh(builder: Builder, x: Value) -> Value:
    return builder.unary("TANH", x)


@register_function(F.silu)
def _silu(builder: Builder, x: Value, inplace: bool = False) -> Value:
    return builder.elementwise("MUL", x, builder.unary("LOGISTIC", x))


@register_function(F.hardswish)
def _hardswish(builder: Builder, x: Value, inplace: bool = False) -> Value:
    return builder.unary("HARD_SWISH", x)


@register_function(F.hardsigmoid)
def _hardsigmoid(builder: Builder, x: Value, inplace: bool = False) -> Value:
    """relu6(x + 3) / 6: the sum folds into the convolution in front."""
    channels = x.shape[-1]
    shifted = builder.affine(x, np.ones(channels, np.float32), np.full(channels, 3, np.float32), fixed=True)
    clipped = builder.unary("RELU6", shifted)
    return builder.affine(clipped, np.full(channels, 1 / 6, np.float32), np.zeros(channels, np.float32), fixed=True)


@register_function(F.softmax, torch.softmax, methods=("softmax",))
def _softmax(builder: Builder, x: Value, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Value:
    return over_channels(builder, "SOFTMAX", x, dim)


@register_function(F.log_softmax, torch.log_softmax, methods=("log_softmax",))
def _log_softmax(builder: Builder, x: Value, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Value:
    return over_channels(builder, "LOG_SOFTMAX", x, dim)


def over_channels(builder: Builder, op: str, x: Value, dim: int | None) -> Value:
    """SOFTMAX or LOG_SOFTMAX over the channels, TFLite's last axis.

    Raises:
        ExportError: over another axis, or over a flattened map larger than 1x1.
    """
    if dim not in (1, 1 - len(x.torch_shape)) or not (x.is_map or (x.is_vector and x.is_flat)):
        raise builder.refuse(f"softmax over axis {dim} of {list(x.torch_shape)} is not supported", "use dim=1")
    return builder.softmax(x, op)


@register_function(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)
def _dropout(builder: Builder, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    if training and p > 0:
        raise builder.refuse("this dropout drops values in evaluation mode too", "give it training=self.training")
    return x
