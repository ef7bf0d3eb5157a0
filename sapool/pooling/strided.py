"""Strided convolution: what the pooling methods are compared with."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from sapool.layers import Conv2dSame
from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register


@register("strided")
class StridedPooling(PoolingLayer):
    """A depthwise 3x3 convolution with a stride, and batch normalisation.

    Backbones stride a convolution of their own instead (`strides_convolution`), as the published nets do; the layer is
    for networks that have none at this place.
    """

    strides_convolution: ClassVar[bool] = True

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None) -> None:
        super().__init__(channels, stride, size)
        self.conv = Conv2dSame(channels, channels, 3, stride, groups=channels)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn(self.conv(x))
        return y
