"""Gaussian-based pooling (Kobayashi, "Gaussian-Based Pooling for Convolutional Neural Networks", NeurIPS 2019)."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import nn

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register

LEAST_VARIANCE: Final = 1e-6
"""Variance of a window below which its deviation is constant (the authors' published code): a root has no slope at 0."""


@register("gaussian")
class GaussianPooling(PoolingLayer):
    """The mean of each window plus a learned, in training random, multiple of its deviation.

        mu, sigma = mean and deviation of each window of s x s, stride s
        z = ReLU(BN(FC(C, C/2)(GAP(x))))
        MU = BN(FC(C/2, C)(z)),  SIGMA = sigmoid(BN(FC(C/2, C)(z)))          one each a channel, from the whole image
        y = mu + softplus(MU + SIGMA * eps) * sigma                           eps ~ N(0, 1) in training, 0 otherwise

    The inverse-softplus form of the paper, with the head of the authors' published code. A value of eps is
    drawn for every output ("fully stochastic"). The head normalises over the images of a batch: it trains on two or more.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; any.

    Attributes:
        hidden, mean, deviation: `HeadLayer`s; C/2 is rounded down, to no less than 1.
    """

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None) -> None:
        super().__init__(channels, stride, size)
        width = max(1, channels // 2)
        self.hidden = HeadLayer(channels, width)
        self.mean = HeadLayer(width, channels)
        self.deviation = HeadLayer(width, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mu = F.avg_pool2d(x, self.stride)
        variance = F.avg_pool2d(x.square(), self.stride) - mu.square()
        sigma = variance.clamp_min(LEAST_VARIANCE).sqrt()
        z = F.relu(self.hidden(x.mean((2, 3), keepdim=True)))
        share = self.mean(z)
        if self.training:
            share = share + self.deviation(z).sigmoid() * torch.randn_like(sigma)
        return mu + F.softplus(share) * sigma


class HeadLayer(nn.Module):
    """A fully connected layer as a 1x1 convolution with bias, and batch normalisation: [B, C, 1, 1] -> [B, O, 1, 1]."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 1)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn(self.conv(x))
        return y
