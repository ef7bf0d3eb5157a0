"""Local importance-based pooling (Gao et al., "LIP: Local Importance-Based Pooling", ICCV 2019), as published."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import nn

from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register

AMPLITUDE: Final = 12.0
"""Logits lie between 0 and this (the authors' published code)."""

WINDOW: Final = 3


@register("lip_original")
class OriginalLocalImportancePooling(PoolingLayer):
    """Average pooling over overlapping windows whose pixels are weighted by a learned, local importance.

        G = 12 * sigmoid(InstanceNorm(Conv3x3(C, C)(x)))
        y = AvgPool(x * e^G) / AvgPool(e^G)               windows of 3x3, stride s, one pixel of padding (no weight)

    The simplified form of the authors' published code, which they use with a stride of 2. As there, the convolution has
    no bias and starts at zero, so the layer starts as average pooling. `lip` is the lighter form of later comparisons.

    Args:
        channels: C.
        stride: s, 1 to 3.
        size: (H, W) of the map; any but 1x1.

    Attributes:
        conv: [C, C, 3, 3].
        norm: its normalisation, with scale and shift, by the statistics of each map.

    Raises:
        UsageError: a stride that skips pixels, or a map of a single pixel, which has no deviation.
    """

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None) -> None:
        super().__init__(channels, stride, size)
        if stride > WINDOW:
            raise UsageError(
                f"lip_original pooling: a stride of {stride} skips pixels between windows of {WINDOW}x{WINDOW}",
                hint=f"choose a stride up to {WINDOW}, or the method lip, whose windows are as large as its stride",
            )
        if size == (1, 1):
            raise UsageError(
                "lip_original pooling normalises each map by its deviation, and a map of 1x1 has none",
                hint="pool earlier, or choose the method lip",
            )
        self.conv = nn.Conv2d(channels, channels, WINDOW, padding=1, bias=False)
        self.norm = nn.InstanceNorm2d(channels, affine=True)
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        importance = (self.norm(self.conv(x)).sigmoid() * AMPLITUDE).exp()
        return self._average(x * importance) / self._average(importance)

    def _average(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, WINDOW, self.stride, padding=1)
