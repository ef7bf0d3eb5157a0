"""Subspace attention in integer operators: the squeeze is one depthwise convolution whose kernel is as large as the map."""

from __future__ import annotations

import numpy as np

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import array
from sapool.pooling.subspace_attention import SubspaceAttention, SubspaceAttentionPooling


@register(SubspaceAttention)
def subspace_attention(module: SubspaceAttention, builder: Builder, x: Value) -> Value:
    return builder.elementwise("MUL", x, gate(module, builder, x))


@register(SubspaceAttentionPooling)
def subspace_attention_pooling(module: SubspaceAttentionPooling, builder: Builder, x: Value) -> Value:
    """Pool first: the gate is one number a map, so the product is made at the resolution of the output."""
    pooled = builder.average_pool(x, module.stride)
    with builder.at(f"{builder.where}.attention"):
        factor = gate(module.attention, builder, x)
    return builder.elementwise("MUL", pooled, factor)


def gate(module: SubspaceAttention, builder: Builder, x: Value) -> Value:
    """[1, 1, 1, C]: squeeze, two 1x1 convolutions (FULLY_CONNECTED rounds differently in TFLM and LiteRT), LOGISTIC.

    Raises:
        ExportError: the map does not have the size that the module was made for.
    """
    if x.shape[1:3] != module.size:
        raise builder.refuse(f"a map of {x.shape[1]}x{x.shape[2]} meets a layer made for {module.size}", None)
    kernel = np.repeat(array(module.maps()), module.channels // module.groups, axis=0)[:, None]
    squeezed = builder.conv(x, kernel, None, groups=module.channels)
    with builder.at(f"{builder.where}.reduce"):
        hidden = builder.unary("RELU", lower_module(module.reduce, builder, squeezed))
    with builder.at(f"{builder.where}.expand"):
        return builder.unary("LOGISTIC", lower_module(module.expand, builder, hidden))
