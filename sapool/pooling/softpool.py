"""SoftPool (Stergiou et al., "Refining Activation Downsampling with SoftPool", ICCV 2021)."""

from __future__ import annotations

import torch

from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register


@register("softpool")
class SoftPooling(PoolingLayer):
    """The mean of each window, every value weighted by its own exponential.

        y = sum over the window of x * e^x / sum of e^x       each channel by itself

    No parameters. Computed as a softmax over the window, which does not overflow where e^x would.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; any.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        windows = x.unfold(2, self.stride, self.stride).unfold(3, self.stride, self.stride).flatten(4)
        return (windows * windows.softmax(4)).sum(4)
