"""Layers that the networks share."""

from __future__ import annotations

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn


class Conv2dSame(nn.Conv2d):
    """A convolution padded as TFLite's SAME pads it, so that its export never needs a PAD operator.

    [B, C, H, W] becomes [B, O, ceil(H / stride), ceil(W / stride)]. Torch's own symmetric padding shifts the window by a
    pixel where the stride is 2; see `same_padding`.

    Args:
        channels: C.
        out_channels: O.
        kernel: height and width of the kernel.
        stride: stride along both axes.
        groups: as in torch.nn.Conv2d.
        bias: as in torch.nn.Conv2d; off, because a normalisation follows as a rule.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(channels, out_channels, kernel, stride, padding=0, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _conv2d_same(x, self.weight, self.bias, self.stride[0], self.groups)


def same_padding(extent: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros in front of and behind an axis under SAME padding (tensorflow/lite/kernels/padding.h).

    In all max(0, (ceil(extent / stride) - 1) * stride + kernel - extent), half of them, rounded down, in front.
    """
    total = max(0, (-(-extent // stride) - 1) * stride + kernel - extent)
    return total // 2, total - total // 2


def _conv2d_same(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, stride: int, groups: int
) -> torch.Tensor:
    top, bottom = same_padding(x.shape[2], weight.shape[2], stride)
    left, right = same_padding(x.shape[3], weight.shape[3], stride)
    if top == bottom and left == right:  # without the copy that F.pad makes
        return F.conv2d(x, weight, bias, stride, (top, left), 1, groups)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, 1, groups)


# The padding depends on the extent of the map, which torch.fx does not know: the function stays one node of a trace.
torch.fx.wrap("_conv2d_same")
