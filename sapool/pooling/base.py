"""What a pooling layer is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from sapool.errors import UsageError


class PoolingLayer(nn.Module):
    """Shrinks a map by a whole factor: [B, C, H, W] becomes [B, C, H/stride, W/stride].

    A drop-in for `nn.MaxPool2d(stride)`: kernel = stride, no padding.

    Args:
        channels: C.
        stride: the factor.
        size: (H, W) of the map; None where the method works at any size.

    Raises:
        UsageError: a value out of range, or a stride that does not divide the map.
    """

    strides_convolution: ClassVar[bool] = False
    """The backbone should stride a convolution that it has anyway instead of adding this layer."""

    def __init__(self, channels: int, stride: int, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        positive(f"{type(self).__name__}: the number of channels", channels)
        positive(f"{type(self).__name__}: the stride", stride)
        self.channels, self.stride = channels, stride
        self.size = None if size is None else extent(type(self).__name__, size)
        if self.size is not None and (self.size[0] % stride or self.size[1] % stride):
            raise UsageError(
                f"{type(self).__name__}: a stride of {stride} does not divide a map of {self.size[0]}x{self.size[1]}",
                hint="choose a stride that divides height and width",
            )

    def extra_repr(self) -> str:
        return f"channels={self.channels}, stride={self.stride}, size={self.size}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


def positive(what: str, value: int) -> int:
    """`value` if it is a positive whole number.

    Raises:
        UsageError: it is not; `what` begins the message.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{what} must be a positive whole number, not {value!r}")
    return value


def extent(who: str, size: tuple[int, int]) -> tuple[int, int]:
    """`size` if it is the height and width of a map.

    Raises:
        UsageError: it is not; `who` begins the message.
    """
    try:
        height, width = size
    except (TypeError, ValueError):
        raise UsageError(f"{who}: the size of the map is not {size!r}", hint="give (height, width)") from None
    return positive(f"{who}: the height of the map", height), positive(f"{who}: the width of the map", width)


def grouped(who: str, channels: int, groups: int) -> int:
    """Channels of each of `groups` groups.

    Raises:
        UsageError: the groups do not divide the channels; `who` begins the message.
    """
    positive(f"{who}: the number of channels", channels)
    positive(f"{who}: groups", groups)
    if channels % groups:
        fits = [str(count) for count in range(1, min(channels, 2 * groups) + 1) if channels % count == 0]
        raise UsageError(
            f"{who}: {groups} groups do not divide {channels} channels", hint=f"choose groups from {', '.join(fits)}"
        )
    return channels // groups


def fitting(who: str, x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`x` if its map [B, C, H, W] has the (H, W) that a layer was made for.

    Looks at the extent of the map, which torch.fx does not know: modules that call it wrap it (`torch.fx.wrap`).

    Raises:
        UsageError: it has another one; `who` begins the message.
    """
    height, width = x.shape[2], x.shape[3]
    if (height, width) != size:
        raise UsageError(
            f"{who}: a map of {height}x{width} meets a layer made for {size[0]}x{size[1]}",
            hint="make the layer for this size, or without one where the method needs none",
        )
    return x
