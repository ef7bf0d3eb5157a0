"""BlurPool (Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019)."""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F

from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer, positive
from sapool.pooling.registry import register

MOST_TAPS: Final = 7
"""The largest filter of the authors' published code."""


@register("blurpool")
class BlurPooling(PoolingLayer):
    """A fixed binomial filter, then every s-th pixel.

        y = DepthwiseConv(x, k k^T / sum, stride s)          k: a row of Pascal's triangle, [1, 3, 3, 1] by default

    Padding is by reflection, (taps - 1) / 2 pixels, rounded down in front and up behind, as in the authors' code. In the
    paper the filter follows an operation with a stride of 1 that used to have the stride: the block in
    front of this layer. No parameters.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; any that is larger than the padding.
        taps: length of the filter, 1 to 7.

    Attributes:
        taps: length of the filter.
        filter: [taps, taps], sums to one; not in the state dict.

    Raises:
        UsageError: a filter that is not published, or one whose padding reflects more pixels than the map has.
    """

    filter: torch.Tensor

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None, *, taps: int = 4) -> None:
        super().__init__(channels, stride, size)
        self.taps = positive("blurpool pooling: taps", taps)
        if taps > MOST_TAPS:
            raise UsageError(f"blurpool pooling: {taps} taps", hint=f"choose 1 to {MOST_TAPS}")
        if size is not None and taps // 2 >= min(size):
            raise UsageError(
                f"blurpool pooling: {taps} taps reflect {taps // 2} pixels, and a map of {size[0]}x{size[1]} has no more",
                hint=f"choose taps up to {2 * min(size) - 1}",
            )
        row = torch.tensor([math.comb(taps - 1, k) for k in range(taps)], dtype=torch.float32)
        self.register_buffer("filter", row[:, None] * row / 4 ** (taps - 1), persistent=False)

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels that are reflected in front of and behind each axis."""
        return (self.taps - 1) // 2, self.taps // 2

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, taps={self.taps}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = self.filter.expand(self.channels, 1, self.taps, self.taps)
        front, back = self.padding
        padded = F.pad(x, (front, back, front, back), mode="reflect")
        return F.conv2d(padded, kernel, stride=self.stride, groups=self.channels)
