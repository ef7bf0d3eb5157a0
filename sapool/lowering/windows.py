"""Pooling layers that weigh the pixels of each window, in integer operators."""

from __future__ import annotations

import numpy as np

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import batch_norm
from sapool.lowering import gates
from sapool.pooling.lip import LocalImportancePooling
from sapool.pooling.softpool import SoftPooling


@register(LocalImportancePooling)
def lip(module: LocalImportancePooling, builder: Builder, x: Value) -> Value:
    """AvgPool(x * W) / AvgPool(W) with W = exp(sigmoid(z)) as one LOGISTIC; the normalisation folds into the convolution."""
    with builder.at(f"{builder.where}.conv"):
        logits = builder.affine(lower_module(module.conv, builder, x), *gates.folded(*batch_norm(module.bn)))
        importance = gates.exp_of_sigmoid(builder, logits)
    weighted = builder.average_pool(builder.elementwise("MUL", x, importance), module.stride)
    return builder.elementwise("DIV", weighted, builder.average_pool(importance, module.stride))


@register(SoftPooling)
def softpool(module: SoftPooling, builder: Builder, x: Value) -> Value:
    """A SOFTMAX over the pixels of each window. Exact.

    A depthwise convolution with a multiplier of s*s, whose kernels each pick one pixel, brings a window's pixels of one
    channel side by side: what SPACE_TO_DEPTH and TRANSPOSE would do, without the second copy of the map.
    """
    stride, channels = module.stride, x.shape[3]
    if stride == 1:
        return x
    pixels = stride * stride
    picks = np.tile(np.eye(pixels, dtype=np.float32).reshape(pixels, 1, stride, stride), (channels, 1, 1, 1))
    side_by_side = builder.conv(x, picks, None, stride=(stride, stride), groups=channels)
    _, rows, columns, _ = side_by_side.shape
    windows = builder.reshape(side_by_side, (1, rows * columns * channels, pixels))
    weighted = builder.elementwise("MUL", windows, builder.softmax(windows))
    weighted = builder.reshape(weighted, (1, rows, columns, channels * pixels))
    return builder.conv(weighted, np.ones((channels, pixels, 1, 1), np.float32), None, groups=channels)
