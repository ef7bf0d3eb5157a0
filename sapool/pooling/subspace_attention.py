"""Subspace attention: a squeeze-and-excitation gate whose squeeze weighs the places of the map."""

from __future__ import annotations

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer, extent, fitting, grouped, positive
from sapool.pooling.registry import register


class SubspaceAttention(nn.Module):
    """Each map times a gate that sees them all: [B, C, H, W] -> [B, C, H, W].

        A = u v^T                                      one for each of g groups of C/g consecutive maps
        z_c = sum_ij A_ij F_cij                         squeeze: a weighted sum of each map
        gate = sigmoid(expand(ReLU(reduce(z))))         two layers, C -> C/r -> C, with biases
        out = F * gate

    Keeps the shape, so it can stand after a block or in the place of one with a stride of 1. u and v start at 1/H and
    1/W, where the squeeze is the mean and the module is squeeze-and-excitation (Hu et al., "Squeeze-and-Excitation
    Networks", CVPR 2018, equations 2 to 4), which has the same gate for any map.

    Source: "Subspace Attention Pooling", a method that is described in words only. Our reading where these are silent: A
    may have any sign and sum; the layers between squeeze and gate see all groups; r = 4; no shortcut around the gate.

    Args:
        channels: C.
        size: (H, W) of the map; u has H entries, v has W.
        groups: g.
        reduction: r; C/r is rounded down, to no less than 1.

    Attributes:
        row: u [g, H].
        column: v [g, W].
        reduce: 1x1 convolution [C/r, C, 1, 1] with bias.
        expand: 1x1 convolution [C, C/r, 1, 1] with bias.

    Raises:
        UsageError: groups that do not divide the channels, or a value out of range; when called, a map of another size.
    """

    def __init__(self, channels: int, size: tuple[int, int], groups: int = 4, reduction: int = 4) -> None:
        super().__init__()
        grouped("SubspaceAttention", channels, groups)
        positive("SubspaceAttention: the reduction", reduction)
        self.channels, self.groups, self.reduction = channels, groups, reduction
        self.size = height, width = extent("SubspaceAttention", size)
        self.row = nn.Parameter(torch.full((groups, height), 1 / height))
        self.column = nn.Parameter(torch.full((groups, width), 1 / width))
        hidden = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, size={self.size}, groups={self.groups}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x)

    def gate(self, x: torch.Tensor) -> torch.Tensor:
        """The factor of each map: [B, C, 1, 1], values in (0, 1)."""
        pixels = torch.unflatten(fitting("subspace attention", x, self.size).flatten(2), 1, (self.groups, -1))
        # A product of matrices, not of maps: no second map is made.
        squeezed = self.maps().flatten(1).unsqueeze(1) @ pixels.transpose(2, 3)
        hidden = F.relu(self.reduce(squeezed.flatten(1)[:, :, None, None]))
        gate: torch.Tensor = self.expand(hidden).sigmoid()
        return gate

    def maps(self) -> torch.Tensor:
        """A of each group: [g, H, W]."""
        return self.row[:, :, None] * self.column[:, None, :]


@register("subspace_attention")
class SubspaceAttentionPooling(PoolingLayer):
    """Subspace attention, then average pooling.

    Evaluated as gate(x) * AvgPool_s(x), which is equal: the gate is one number a map. Nothing of the size of the map is
    made. See `SubspaceAttention` for the equations and their source.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map; needed.
        groups: attention maps g.
        reduction: r.

    Attributes:
        attention: the `SubspaceAttention`.

    Raises:
        UsageError: no size; groups that do not divide the channels.
    """

    def __init__(
        self, channels: int, stride: int, size: tuple[int, int] | None = None, *, groups: int = 4, reduction: int = 4
    ) -> None:
        super().__init__(channels, stride, size)
        if size is None:
            raise UsageError(
                "subspace_attention pooling learns a weight for each row and column and must know the size of its map",
                hint="give size=(height, width)",
            )
        self.attention = SubspaceAttention(channels, size, groups, reduction)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, self.stride) * self.attention.gate(x)


torch.fx.wrap("fitting")
