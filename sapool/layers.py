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


def conv2d(
    channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1, padding: str = "same"
) -> nn.Conv2d:
    """A convolution without bias and with an odd kernel: [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)].

    Args:
        channels: C.
        out_channels: O.
        kernel: height and width of the kernel.
        stride: stride along both axes.
        groups: as in torch.nn.Conv2d.
        padding: "same" as TFLite pads, or "symmetric", kernel // 2 zeros on every side, as torch's own networks do.
    """
    if padding == "same":
        return Conv2dSame(channels, out_channels, kernel, stride, groups=groups)
    return nn.Conv2d(channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)


class MaxPool2dSame(nn.Module):
    """The maximum over windows that overlap, padded as TFLite's SAME pads: [B, C, H, W] -> [B, C, ceil(H / s), ceil(W / s)].

    Args:
        kernel: height and width of the window.
        stride: s.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _max_pool2d_same(x, self.kernel, self.stride)


def max_pool2d(kernel: int, stride: int, *, padding: str = "same") -> nn.Module:
    """The maximum over windows of an odd size that overlap; `padding` as in `conv2d`."""
    return MaxPool2dSame(kernel, stride) if padding == "same" else nn.MaxPool2d(kernel, stride, kernel // 2)


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
    # Without the copy that F.pad makes. For a depthwise kernel larger than its map (2x2 at the end of a network at 32
    # pixels) the copy is the faster way: oneDNN's gradient takes 16 ms there, and 0.6 for the same map padded beforehand.
    if top == bottom and left == right and x.shape[2] >= weight.shape[2] and x.shape[3] >= weight.shape[3]:
        return F.conv2d(x, weight, bias, stride, (top, left), 1, groups)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, 1, groups)


def _max_pool2d_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    rows, columns = same_padding(x.shape[2], kernel, stride), same_padding(x.shape[3], kernel, stride)
    return F.max_pool2d(F.pad(x, (*columns, *rows), value=-torch.inf), kernel, stride)


# The padding depends on the extent of the map, which torch.fx does not know: a function stays one node of a trace.
torch.fx.wrap("_conv2d_same")
torch.fx.wrap("_max_pool2d_same")


def noise(*shape: int, deviation: float) -> nn.Parameter:
    """A parameter of normal noise around zero; on the meta device, where it has no values, only its shape.

    torch.randn would import torch's compiler there: two seconds for every checkpoint that is loaded.
    """
    values = torch.empty(shape)
    return nn.Parameter(values if values.is_meta else torch.randn(shape) * deviation)
