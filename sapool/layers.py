"""Layers that the networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Conv2dSame(nn.Conv2d):
    """A convolution padded as TFLite's SAME pads it, so that its export never needs a PAD operator.

    An axis of extent n is padded by max(0, (ceil(n / stride) - 1) * stride + (kernel - 1) * dilation + 1 - n) zeros in
    all, half of them (rounded down) in front: [B, C, H, W] becomes [B, O, ceil(H / stride), ceil(W / stride)]. Torch's
    own symmetric padding shifts the window by a pixel where the stride is 2 (tensorflow/lite/kernels/padding.h).
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(channels, out_channels, kernel, stride, padding=0, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top, bottom = self._pads(x.shape[2], 0)
        left, right = self._pads(x.shape[3], 1)
        if top == bottom and left == right:  # without the copy that F.pad makes
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _pads(self, extent: int, axis: int) -> tuple[int, int]:
        stride, reach = self.stride[axis], (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        total = max(0, (-(-extent // stride) - 1) * stride + reach - extent)
        return total // 2, total - total // 2
