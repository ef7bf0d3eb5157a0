"""ULSAM (Saini et al., "ULSAM: Ultra-Lightweight Subspace Attention Module for Compact CNNs", WACV 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from sapool.pooling.base import PoolingLayer, grouped
from sapool.pooling.registry import register


class ULSAM(nn.Module):
    """An attention map for each group of channels, added to the input: [B, C, H, W] -> [B, C, H, W].

        t = ReLU(BN(DW1x1(F)))                a scale and a shift a channel
        t = MaxPool3x3(t, stride 1, pad 1)
        t = ReLU(BN(PW(t)))                   C/g -> 1 in each group
        A = softmax of t over all H*W places
        out = F + c * (A * F)                 c = 1 as published

    g groups of C/g consecutive channels, each with its own weights: 2*C of
    them besides the normalisations. Keeps the shape, so it can stand after a block or in the place of one with a stride
    of 1. Our reading: no biases in front of a normalisation; torch's momentum of the running statistics.

    With `gain` (ours) c = 1 + H*W*gain, with one learned gain a group that starts at 0, as published. A sums to one, so
    the published layer changes a value by 1/(H*W) of itself on average, which int8 does not show above 7x7; the factor
    H*W puts the gain on the scale of A's mean, whatever the size of the map.

    Args:
        channels: C.
        groups: g.
        gain: learn c.

    Attributes:
        scale: DW1x1 [C, 1, 1, 1], and `scale_bn`.
        point: PW [g, C/g, 1, 1], and `point_bn`.
        gain: [g], or None.

    Raises:
        UsageError: groups that do not divide the channels.
    """

    gain: nn.Parameter | None

    def __init__(self, channels: int, groups: int = 4, gain: bool = False) -> None:
        super().__init__()
        grouped("ULSAM", channels, groups)
        self.channels, self.groups = channels, groups
        self.scale = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.scale_bn = nn.BatchNorm2d(channels)
        self.point = nn.Conv2d(channels, groups, 1, groups=groups, bias=False)
        self.point_bn = nn.BatchNorm2d(groups)
        self.register_parameter("gain", nn.Parameter(torch.zeros(groups)) if gain else None)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, groups={self.groups}, gain={self.gain is not None}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.unflatten(x, 1, (self.groups, -1)) * self.factor(x).unsqueeze(2)).flatten(1, 2)

    def factor(self, x: torch.Tensor) -> torch.Tensor:
        """1 + c*A: [B, g, H, W], by which the channels of a group are multiplied."""
        attention = self.attention(x)
        if self.gain is None:
            return 1 + attention
        places = attention.shape[2] * attention.shape[3]
        return 1 + (1 + places * self.gain)[:, None, None] * attention

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """A: [B, g, H, W]; each map sums to one."""
        t = F.max_pool2d(F.relu(self.scale_bn(self.scale(x))), 3, 1, 1)
        t = F.relu(self.point_bn(self.point(t)))
        return t.flatten(2).softmax(2).view_as(t)


@register("ulsam")
class UlsamPooling(PoolingLayer):
    """ULSAM, then average pooling: AvgPool_s(F + c * (A * F)). See `ULSAM` for the equations.

    Attention differs from pixel to pixel of a window, so the map cannot be pooled first.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; any.
        groups: g.
        gain: learn c.

    Attributes:
        attention: the `ULSAM`.

    Raises:
        UsageError: groups that do not divide the channels.
    """

    def __init__(
        self, channels: int, stride: int, size: tuple[int, int] | None = None, *, groups: int = 4, gain: bool = False
    ) -> None:
        super().__init__(channels, stride, size)
        self.attention = ULSAM(channels, groups, gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(self.attention(x), self.stride)
