"""Pooling layers that TFLite has operators for."""

from __future__ import annotations

import numpy as np

from exporters.lower import Builder, Value, lower_module, register
from exporters.lower.arrays import array
from sapool.pooling.average import AveragePooling
from sapool.pooling.blurpool import BlurPooling
from sapool.pooling.max import MaxPooling
from sapool.pooling.strided import StridedPooling


@register(MaxPooling)
def max_pooling(module: MaxPooling, builder: Builder, x: Value) -> Value:
    size = (module.stride, module.stride)
    return builder.pool(x, "MAX_POOL_2D", size, size)


@register(AveragePooling)
def average_pooling(module: AveragePooling, builder: Builder, x: Value) -> Value:
    return builder.average_pool(x, module.stride)


@register(StridedPooling)
def strided_pooling(module: StridedPooling, builder: Builder, x: Value) -> Value:
    return lower_module(module.bn, builder, lower_module(module.conv, builder, x))


@register(BlurPooling)
def blurpool(module: BlurPooling, builder: Builder, x: Value) -> Value:
    """Reflected borders as MIRROR_PAD, then a depthwise convolution. Exact, at the price of a padded copy of the map.

    SAME and VALID padding have no reflection, and its border pixels have kernels of their own.
    """
    front, back = module.padding
    padded = builder.reflect(x, front, back) if back else x
    kernel = np.broadcast_to(array(module.filter), (module.channels, 1, module.taps, module.taps)).copy()
    stride = (module.stride, module.stride)
    return builder.conv(padded, kernel, None, stride=stride, groups=module.channels, fixed=True)
