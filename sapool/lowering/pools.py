"""Pooling layers that TFLite has operators for."""

from __future__ import annotations

from exporters.lower import Builder, Value, lower_module, register
from sapool.pooling.average import AveragePooling
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
