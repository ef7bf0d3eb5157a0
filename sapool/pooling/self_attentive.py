"""Self-attentive pooling (Chen et al., "Self-Attentive Pooling for Efficient Deep Learning", WACV 2023)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer
from sapool.pooling.registry import register

MOST_TOKENS = 64
"""Tokens up to which the default patch goes: int8 softmax resolves 1/256, and scores grow with the tokens' square."""


@register("self_attentive")
class SelfAttentivePooling(PoolingLayer):
    """Average pooling whose pixels are weighted by attention over the whole map (sections 3.1 to 3.4 of the paper).

        E = max(1, round(ratio * C / heads)) * heads
        T = ReLU(BN(Conv2d(C, E, kernel=p, stride=p)(x)))            patch embedding
        o = MultiheadAttention(T + P, T + P, T + P)                   P: learned positions, E/2 of columns and E/2 of rows
        W = exp(sigmoid(BN(Conv1x1(E, C)(nearest_upsample(o)))))      in (1, e)
        y = AvgPool_s(x * W)                                          window_norm off
        y = AvgPool_s(x * W) / AvgPool_s(W)                           window_norm on, the paper's exponential softmax

    Evaluated in the lean form, which is equal: restoration acts pixel by pixel, so it is done at patch resolution and
    upsampled last; and windows of q = gcd(p, s) lie inside one patch, so x is averaged over them before it is weighted.
    With s dividing p the weighting happens at the resolution of the output. Our reading where the paper is silent:
    projections have biases; no residual, no layer normalisation and no feed-forward part around the attention; positions
    start from a normal distribution of deviation 0.02.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map, which fixes the number of positions.
        patch: p; None takes the stride (half of it under window_norm), doubled while there are more than 64 tokens.
        heads: attention heads.
        ratio: embedding ratio r.
        window_norm: divide by the weights of the window.

    Raises:
        UsageError: no size; a patch that does not divide the map; an odd embedding; window_norm where the weights are
            constant inside each window, so that they would cancel out.
    """

    def __init__(
        self, channels: int, stride: int, size: tuple[int, int] | None = None, *,
        patch: int | None = None, heads: int = 2, ratio: float = 1.0, window_norm: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(channels, stride, size)
        if size is None:
            raise UsageError(
                "self_attentive pooling learns a position for every patch and needs the map's size",
                hint="give size=(height, width)",
            )
        patch = _default_patch(stride, size, window_norm) if patch is None else patch
        _check(channels, stride, size, patch, heads, ratio, window_norm)
        self.patch, self.heads, self.window_norm = patch, heads, window_norm
        self.embedding = max(1, round(ratio * channels / heads)) * heads
        if self.embedding % 2:
            raise UsageError(
                f"self_attentive pooling: an embedding of {self.embedding} is odd, and half of it is for rows, half for "
                "columns",
                hint="choose an even number of heads, or another ratio",
            )
        rows, columns = size[0] // patch, size[1] // patch
        self.patch_embed = nn.Module()
        self.patch_embed.conv = nn.Conv2d(channels, self.embedding, patch, patch, bias=False)
        self.patch_embed.bn = nn.BatchNorm2d(self.embedding)
        self.positions = Positions(self.embedding, rows, columns)
        self.attention = Attention(self.embedding, heads)
        self.restore = nn.Module()
        self.restore.conv = nn.Conv2d(self.embedding, channels, 1, bias=False)
        self.restore.bn = nn.BatchNorm2d(channels)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, patch={self.patch}, heads={self.heads}, window_norm={self.window_norm}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = math.gcd(self.patch, self.stride)
        outer = self.stride // inner
        weights = _upsample(self.weights(x), self.patch // inner)
        weighted = _average(_average(x, inner) * weights, outer)
        return weighted / _average(weights, outer) if self.window_norm else weighted

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """W at patch resolution: [B, C, H/p, W/p], values in (1, e)."""
        tokens = F.relu(self.patch_embed.bn(self.patch_embed.conv(x))) + self.positions()
        rows, columns = tokens.shape[2:]
        mixed = self.attention(tokens.flatten(2).transpose(1, 2))
        mixed = mixed.transpose(1, 2).unflatten(2, (rows, columns))
        restored: torch.Tensor = self.restore.bn(self.restore.conv(mixed))
        return torch.exp(torch.sigmoid(restored))


class Positions(nn.Module):
    """Learned positions [1, E, rows, columns]: the first E/2 channels tell the column, the others the row."""

    def __init__(self, embedding: int, rows: int, columns: int) -> None:
        super().__init__()
        self.col = nn.Parameter(torch.randn(embedding // 2, columns) * 0.02)
        self.row = nn.Parameter(torch.randn(embedding // 2, rows) * 0.02)

    def forward(self) -> torch.Tensor:
        half, columns = self.col.shape
        rows = self.row.shape[1]
        col = self.col[:, None, :].expand(half, rows, columns)
        row = self.row[:, :, None].expand(half, rows, columns)
        return torch.cat([col, row])[None]


class Attention(nn.Module):
    """Multi-head self-attention [B, N, E] -> [B, N, E]; each head has E/heads channels, scores are scaled by their root."""

    def __init__(self, embedding: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(embedding, embedding)
        self.key = nn.Linear(embedding, embedding)
        self.value = nn.Linear(embedding, embedding)
        self.output = nn.Linear(embedding, embedding)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        q, k, v = (
            project(tokens).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        y: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return y


def _average(x: torch.Tensor, size: int) -> torch.Tensor:
    return x if size == 1 else F.avg_pool2d(x, size)


def _upsample(x: torch.Tensor, factor: int) -> torch.Tensor:
    return x if factor == 1 else F.interpolate(x, scale_factor=factor, mode="nearest")


def _default_patch(stride: int, size: tuple[int, int], window_norm: bool) -> int:
    if window_norm:
        return max(1, stride // 2)
    patch = stride
    while (size[0] // patch) * (size[1] // patch) > MOST_TOKENS and not (
        size[0] % (2 * patch) or size[1] % (2 * patch)
    ):
        patch *= 2
    return patch


def _check(
    channels: int, stride: int, size: tuple[int, int], patch: int, heads: int, ratio: float, window_norm: bool
) -> None:
    if patch < 1 or heads < 1 or not ratio > 0:
        raise UsageError(f"self_attentive pooling: patch {patch}, heads {heads} and ratio {ratio:g} must be positive")
    if size[0] % patch or size[1] % patch:
        raise UsageError(
            f"self_attentive pooling: a patch of {patch} does not divide a map of {size[0]}x{size[1]}",
            hint="choose a patch that divides height and width",
        )
    if window_norm and patch % stride == 0:
        raise UsageError(
            f"self_attentive pooling: window_norm with a patch of {patch} and a stride of {stride} is average pooling: "
            "the weights are constant inside each window and cancel out, and the attention gets no gradient",
            hint=f"choose a patch smaller than the stride (1 to {max(1, stride - 1)}), or switch window_norm off",
        )
