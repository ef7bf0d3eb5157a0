"""Blocks that several backbones are made of."""

from __future__ import annotations

from torch import nn

from sapool.layers import conv2d


def rounded(channels: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of 8, never by more than a tenth downwards.

    (tensorflow/models, research/slim/nets/mobilenet/mobilenet.py, _make_divisible)
    """
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class ConvBnRelu6(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU6.

    [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)]; `padding` as in `sapool.layers.conv2d`.
    """

    def __init__(
        self, channels: int, out_channels: int, kernel: int, stride: int = 1, *, groups: int = 1, padding: str = "same"
    ) -> None:
        super().__init__(
            conv2d(channels, out_channels, kernel, stride, groups=groups, padding=padding),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )
