"""Local importance-based pooling (Gao et al., "LIP: Local Importance-Based Pooling", ICCV 2019), as it is compared."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register


@register("lip")
class LocalImportancePooling(PoolingLayer):
    """Average pooling whose pixels are weighted by a learned, local importance.

        G = sigmoid(BN(Conv1x1(C, C)(x)))
        y = AvgPool_s(x * e^G) / AvgPool_s(e^G)          windows of s x s, stride s

    The form in which the comparisons of self-attentive pooling have it (Chen et al., WACV 2023, published code). The one
    of the LIP paper is `lip_original`. The convolution has no bias: a normalisation follows.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; any.

    Attributes:
        conv: [C, C, 1, 1].
        bn: its normalisation.
    """

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None) -> None:
        super().__init__(channels, stride, size)
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        importance = self.bn(self.conv(x)).sigmoid().exp()
        return F.avg_pool2d(x * importance, self.stride) / F.avg_pool2d(importance, self.stride)
