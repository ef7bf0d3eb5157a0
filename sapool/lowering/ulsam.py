"""ULSAM in integer operators: a softmax over all places of a map is one over a row, so each group becomes a row."""

from __future__ import annotations

import numpy as np

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import array, batch_norm
from exporters.lower.builder import FloatArray
from sapool.lowering.gates import product
from sapool.pooling.ulsam import ULSAM, UlsamPooling

MOST_GROUPS = 10
"""CONCATENATION takes no more inputs (TFLM, kernels/concatenation.cc)."""


@register(UlsamPooling)
def ulsam_pooling(module: UlsamPooling, builder: Builder, x: Value) -> Value:
    with builder.at(f"{builder.where}.attention"):
        y = lower_module(module.attention, builder, x)
    return builder.average_pool(y, module.stride)


@register(ULSAM)
def ulsam(module: ULSAM, builder: Builder, x: Value) -> Value:
    """x * (1 + c*A): the factor of all channels is one 1x1 convolution of the g attention maps, with a bias of 1.

    Softmax has steps of 1/256 on the device: attention below half of one, as a uniform one above 22x22, is lost.

    Raises:
        ExportError: more groups than one CONCATENATION joins.
    """
    if module.groups > MOST_GROUPS:
        raise builder.refuse(
            f"ULSAM of {module.groups} groups: their maps are joined by one CONCATENATION, of at most {MOST_GROUPS}",
            f"use {MOST_GROUPS} groups or fewer",
        )
    _, height, width, channels = x.shape
    t = builder.affine(lower_module(module.scale, builder, x), *batch_norm(module.scale_bn))
    t = builder.pool(builder.unary("RELU", t), "MAX_POOL_2D", (3, 3), (1, 1), "SAME")
    scale, shift = batch_norm(module.point_bn)
    points = by_group(module, array(module.point.weight)[:, :, 0, 0] * scale[:, None])
    maps = []
    for point, bias in zip(points, shift, strict=True):
        scores = builder.unary("RELU", builder.conv(t, point[None, :, None, None], np.array([bias])))
        shares = builder.softmax(builder.reshape(scores, (1, 1, height * width)))
        maps.append(builder.reshape(shares, (1, height, width, 1)))
    attention = maps[0] if len(maps) == 1 else builder.concatenation(maps)
    strength = np.ones(module.groups, np.float32)
    if module.gain is not None:
        strength += height * width * array(module.gain)
    spread = by_group(module, np.repeat(strength[:, None], channels // module.groups, axis=1)).T
    return product(builder, x, builder.conv(attention, spread[:, :, None, None], np.ones(channels, np.float32)))


def by_group(module: ULSAM, weights: FloatArray) -> FloatArray:
    """[g, C/g] as [g, C] with zeros for the channels of other groups."""
    depth = module.channels // module.groups
    result = np.zeros((module.groups, module.channels), np.float32)
    for group, row in enumerate(weights):
        result[group, group * depth : (group + 1) * depth] = row
    return result
