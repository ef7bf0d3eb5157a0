"""ULSAM in integer operators: a softmax over all places of a map is one over a row, so each group becomes a row."""

from __future__ import annotations

import numpy as np

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import array, batch_norm
from exporters.lower.builder import FloatArray
from sapool.lowering import gates
from sapool.pooling.ulsam import ULSAM, UlsamPooling


@register(UlsamPooling)
def ulsam_pooling(module: UlsamPooling, builder: Builder, x: Value) -> Value:
    with builder.at(f"{builder.where}.attention"):
        y = lower_module(module.attention, builder, x)
    return builder.average_pool(y, module.stride)


@register(ULSAM)
def ulsam(module: ULSAM, builder: Builder, x: Value) -> Value:
    """x * (1 + c*A): the factor of all channels is one 1x1 convolution of the g attention maps, with a bias of 1.

    Softmax has steps of 1/256 on the device: attention below half of one, as a uniform one above 22x22, is lost. That is
    also where its kernel ends (`gates.MOST_SHARES`).

    Raises:
        ExportError: a map above 22x22.
    """
    _, height, width, channels = x.shape
    t = builder.affine(lower_module(module.scale, builder, x), *batch_norm(module.scale_bn))
    t = builder.pool(builder.unary("RELU", t), "MAX_POOL_2D", (3, 3), (1, 1), "SAME")
    scale, shift = batch_norm(module.point_bn)
    points = by_group(module, array(module.point.weight)[:, :, 0, 0] * scale[:, None])
    maps = []
    for point, bias in zip(points, shift, strict=True):
        scores = builder.unary("RELU", builder.conv(t, point[None, :, None, None], np.array([bias])))
        shares = gates.shares(builder, builder.reshape(scores, (1, 1, height * width)))
        maps.append(builder.reshape(shares, (1, height, width, 1)))
    attention = builder.concatenation(maps)
    strength = np.ones(module.groups, np.float32)
    if module.gain is not None:
        strength += height * width * array(module.gain)
    spread = by_group(module, np.repeat(strength[:, None], channels // module.groups, axis=1)).T
    return builder.elementwise(
        "MUL", x, builder.conv(attention, spread[:, :, None, None], np.ones(channels, np.float32))
    )


def by_group(module: ULSAM, weights: FloatArray) -> FloatArray:
    """[g, C/g] as [g, C] with zeros for the channels of other groups."""
    depth = module.channels // module.groups
    result = np.zeros((module.groups, module.channels), np.float32)
    for group, row in enumerate(weights):
        result[group, group * depth : (group + 1) * depth] = row
    return result
