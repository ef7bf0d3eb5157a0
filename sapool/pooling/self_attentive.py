"""Self-attentive pooling (Chen et al., "Self-Attentive Pooling for Efficient Deep Learning", WACV 2023)."""

from __future__ import annotations

import math

import torch
import torch.fx
import torch.nn.functional as F
from torch import nn

from sapool.errors import UsageError
from sapool.layers import noise
from sapool.pooling.base import PoolingLayer, fitting, positive
from sapool.pooling.registry import register

MOST_TOKENS = 64
"""Tokens up to which the default patch goes: int8 softmax resolves 1/256, and scores grow with the tokens' square."""

MOST_PATCHES = 64
"""Rows and columns of positions in a layer that does not know the size of its map."""

MOST_WEIGHTS = 1 << 26
"""Weights up to which a layer is made; more is a typing error that would fill the memory."""


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
    With s dividing p the weighting happens at the resolution of the output. (While training, the running variance of the
    restoration counts each patch once and not p*p times, which changes torch's factor n/(n-1) and nothing else.)

    Our reading where the paper is silent: projections have biases, the convolutions in front of a BN have none; no residual,
    no layer normalisation and no feed-forward part around the attention; positions start from a normal distribution of
    deviation 0.02; the default patch.

    Args:
        channels: C.
        stride: s.
        size: (H, W) of the map. Without it the layer takes maps of any size up to 64x64 patches and holds positions for
            all of these.
        patch: p; None takes the smallest multiple of the stride that leaves 2 to 64 tokens, the stride itself where none
            does or the size is unknown, and under window_norm the largest proper divisor of the stride.
        heads: attention heads h; 2 everywhere, without window_norm, is what the authors recommend.
        ratio: embedding ratio r.
        window_norm: divide by the weights of the window.
        embedding: E itself, a multiple of the heads, in place of the one that the ratio gives.

    Attributes:
        embedding: E.
        patch_embed: `conv` [E, C, p, p] and `bn`.
        positions: called, gives [1, E, H/p, W/p].
        attention: `query`, `key`, `value`, `output`, linear [E, E] with biases; head i has rows i*E/h to (i+1)*E/h.
        restore: `conv` [C, E, 1, 1] and `bn`.

    Raises:
        UsageError: a patch that does not divide the map; an odd embedding, or one that no machine holds; window_norm where
            the weights are constant inside each window, so that they would cancel out.
    """

    def __init__(
        self, channels: int, stride: int, size: tuple[int, int] | None = None, *,
        patch: int | None = None, heads: int = 2, ratio: float = 1.0, window_norm: bool = False,
        embedding: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(channels, stride, size)
        self.patch = default_patch(stride, size, window_norm) if patch is None else positive("patch", patch)
        self.heads, self.window_norm = positive("heads", heads), window_norm
        self.embedding = _embedding(channels, heads, ratio, self.patch, embedding)
        if window_norm and self.patch % stride == 0:
            raise UsageError(
                f"self_attentive pooling: window_norm with a patch of {self.patch} and a stride of {stride} is average "
                "pooling: the weights are constant inside each window and cancel out, and the attention gets no gradient",
                hint=f"choose a patch smaller than the stride (1 to {max(1, stride - 1)}), or switch window_norm off",
            )
        rows, columns = (MOST_PATCHES, MOST_PATCHES) if size is None else _grid(size, self.patch, stride)
        self.patch_embed = ConvNorm(channels, self.embedding, self.patch)
        self.positions = Positions(self.embedding, rows, columns)
        self.attention = Attention(self.embedding, heads)
        self.restore = ConvNorm(self.embedding, channels, 1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, patch={self.patch}, heads={self.heads}, window_norm={self.window_norm}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = math.gcd(self.patch, self.stride)
        outer = self.stride // inner
        weights = _upsample(self.weights(x), self.patch // inner)
        weighted = _average(_average(x, inner) * weights, outer)
        return weighted / _average(weights, outer) if self.window_norm else weighted

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """W at patch resolution: [B, C, H/p, W/p], values in (1, e).

        Raises:
            UsageError: the layer was made for another size.
        """
        rows, columns = _grid_of(x, self.size, self.patch, self.stride)
        tokens = F.relu(self.patch_embed(x)) + self.positions(rows, columns)
        mixed = self.attention(tokens.flatten(2).transpose(1, 2))
        restored: torch.Tensor = self.restore(mixed.transpose(1, 2).unflatten(2, (rows, columns)))
        return restored.sigmoid().exp()


class ConvNorm(nn.Module):
    """A convolution of disjoint patches, and batch normalisation: [B, C, H, W] -> [B, O, H/p, W/p]."""

    def __init__(self, channels: int, out_channels: int, patch: int) -> None:
        super().__init__()
        self.conv = PatchConv2d(channels, out_channels, patch)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn(self.conv(x))
        return y


class PatchConv2d(nn.Conv2d):
    """A convolution of disjoint patches without bias: [B, C, H, W] -> [B, O, H/p, W/p], both in channels-last order.

    Equal to `nn.Conv2d(C, O, p, p, bias=False)`, as one product of matrices: for the small maps and few channels in front
    of a pool, the convolution of oneDNN and its gradient take several times as long on a CPU.
    """

    def __init__(self, channels: int, out_channels: int, patch: int) -> None:
        super().__init__(channels, out_channels, patch, patch, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, columns = self.kernel_size
        patches = torch.unflatten(torch.unflatten(x.permute(0, 2, 3, 1), 2, (-1, columns)), 1, (-1, rows))
        matrix = self.weight.permute(0, 2, 3, 1).flatten(1)
        return F.linear(patches.transpose(2, 3).flatten(3), matrix).permute(0, 3, 1, 2)


class Positions(nn.Module):
    """Learned positions: the first half of the channels tells the column, the other half the row.

    Called with an extent it gives [1, E, rows, columns], by default all that there are.
    """

    def __init__(self, embedding: int, rows: int, columns: int) -> None:
        super().__init__()
        self.col = noise(embedding // 2, columns, deviation=0.02)
        self.row = noise(embedding // 2, rows, deviation=0.02)

    def forward(self, rows: int | None = None, columns: int | None = None) -> torch.Tensor:
        col, row = self.col[:, None, :columns], self.row[:, :rows, None]
        return torch.cat([col.expand(-1, row.shape[1], -1), row.expand(-1, -1, col.shape[2])])[None]


class Attention(nn.Module):
    """Multi-head self-attention [B, N, E] -> [B, N, E]; each head has E/heads channels, scores are scaled by their root.

    The four matrices start as those of torch.nn.MultiheadAttention: Glorot-uniform, biases zero.
    """

    def __init__(self, embedding: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(embedding, embedding)
        self.key = nn.Linear(embedding, embedding)
        self.value = nn.Linear(embedding, embedding)
        self.output = nn.Linear(embedding, embedding)
        for linear in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        projections = (self.query, self.key, self.value)
        # One product for all three: with this few channels a call costs more than its arithmetic.
        weight = torch.cat([linear.weight for linear in projections])
        bias = torch.cat([linear.bias for linear in projections])
        joint = torch.unflatten(F.linear(tokens, weight, bias), 2, (3, self.heads, -1))
        q, k, v = joint.permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(q, k, v)
        y: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return y


def _average(x: torch.Tensor, size: int) -> torch.Tensor:
    return x if size == 1 else F.avg_pool2d(x, size)


def _upsample(x: torch.Tensor, factor: int) -> torch.Tensor:
    return x if factor == 1 else F.interpolate(x, scale_factor=factor, mode="nearest")


def default_patch(stride: int, size: tuple[int, int] | None, window_norm: bool = False) -> int:
    """The patch that a layer takes unless it is given one; see `SelfAttentivePooling`."""
    if window_norm:
        return max((patch for patch in range(1, stride) if stride % patch == 0), default=1)
    if size is None:
        return stride
    height, width = size
    for patch in range(stride, min(size) + 1, stride):
        # A single token would attend to itself alone, under a kernel as large as the map.
        if not (height % patch or width % patch) and 1 < (height // patch) * (width // patch) <= MOST_TOKENS:
            return patch
    return stride


def _embedding(channels: int, heads: int, ratio: float, patch: int, given: int | None) -> int:
    if isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 < ratio < math.inf:
        raise UsageError(f"self_attentive pooling: the ratio must be a positive number, not {ratio!r}")
    embedding = max(1, round(ratio * channels / heads)) * heads if given is None else positive("embedding", given)
    if embedding % heads:
        raise UsageError(f"self_attentive pooling: {heads} heads do not divide an embedding of {embedding}")
    if embedding % 2:
        raise UsageError(
            f"self_attentive pooling: an embedding of {embedding} is odd, and half of it is for rows, half for columns",
            hint="choose an even number of heads, or another ratio",
        )
    weights = embedding * (4 * embedding + channels * (patch**2 + 1))
    if weights > MOST_WEIGHTS:
        raise UsageError(
            f"self_attentive pooling: {weights:,} weights for {channels} channels, an embedding of {embedding} and a patch "
            f"of {patch}",
            hint="choose a smaller patch, fewer heads or a smaller ratio",
        )
    return embedding


def _grid(size: tuple[int, int], patch: int, stride: int) -> tuple[int, int]:
    """Rows and columns of patches in a map of this size."""
    for name, step in (("stride", stride), ("patch", patch)):
        if size[0] % step or size[1] % step:
            raise UsageError(
                f"self_attentive pooling: a {name} of {step} does not divide a map of {size[0]}x{size[1]}",
                hint=f"choose a {name} that divides height and width",
            )
    return size[0] // patch, size[1] // patch


def _grid_of(x: torch.Tensor, size: tuple[int, int] | None, patch: int, stride: int) -> tuple[int, int]:
    if size is not None:
        fitting("self_attentive pooling", x, size)
    rows, columns = _grid((x.shape[2], x.shape[3]), patch, stride)
    if size is None and max(rows, columns) > MOST_PATCHES:
        raise UsageError(
            f"self_attentive pooling: {rows}x{columns} patches, but positions for {MOST_PATCHES}x{MOST_PATCHES}",
            hint="give the size of the map, or a larger patch",
        )
    return rows, columns


# Looks at the extent of the map, which torch.fx does not know: the function stays one node of a trace.
torch.fx.wrap("_grid_of")
