"""Average pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register


@register("average")
class AveragePooling(PoolingLayer):
    """The mean of each window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, self.stride)
