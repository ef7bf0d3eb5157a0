"""Max pooling."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register


@register("max")
class MaxPooling(PoolingLayer):
    """The largest value of each window."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.max_pool2d(x, self.stride)
