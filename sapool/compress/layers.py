"""How channels leave the layers of sapool, for the dependency graph of torch-pruning.

Pools and attention modules keep the channels of their map, so what leaves at their input leaves at their output. What they
have inside follows from the channels by the same rule as when they are made; only the embedding of self-attentive pooling
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import nn
from torch_pruning import BasePruningFunc

from sapool.errors import UsageError
from sapool.pooling.base import PoolingLayer
from sapool.pooling.lip import LocalImportancePooling
from sapool.pooling.self_attentive import SelfAttentivePooling
from sapool.pooling.subspace_attention import SubspaceAttention, SubspaceAttentionPooling
from sapool.pooling.ulsam import ULSAM, UlsamPooling

Kept = list[int]


class LayerPruner(BasePruningFunc):  # type: ignore[misc]
    """Prunes one kind of layer that keeps its channels."""

    def __init__(self, keep: Callable[[Any, Kept], None]) -> None:
        super().__init__()
        self._keep = keep

    def prune_out_channels(self, layer: nn.Module, idxs: Sequence[int]) -> nn.Module:
        gone = set(idxs)
        self._keep(layer, [channel for channel in range(self.get_out_channels(layer)) if channel not in gone])
        layer.channels = self.get_out_channels(layer) - len(gone)  # type: ignore[assignment]
        return layer

    prune_in_channels = prune_out_channels

    def get_out_channels(self, layer: nn.Module) -> int:
        return int(layer.channels)  # type: ignore[arg-type]

    get_in_channels = get_out_channels


def pruner(layer: nn.Module) -> LayerPruner | None:
    """What prunes this layer; None where it has nothing to prune.

    Raises:
        UsageError: it has weights, and nothing here knows them.
    """
    for kind, keep in _LAYERS.items():
        if isinstance(layer, kind):
            return LayerPruner(keep)
    if any(True for _ in layer.parameters()):
        raise UsageError(
            f"pruning does not know the weights of {type(layer).__name__}",
            hint="prune a network with another pooling method",
        )
    return None


def divisor(layer: nn.Module) -> int:
    """By how many channels at a time the layer can shrink: groups stay equal."""
    inner = layer.attention if isinstance(layer, (UlsamPooling, SubspaceAttentionPooling)) else layer
    return int(inner.groups) if isinstance(inner, (ULSAM, SubspaceAttention)) else 1


def _rows(layer: nn.Module, kept: Kept) -> None:
    """Keep output channels of a convolution or a normalisation."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        tensor = getattr(layer, name, None)
        if tensor is not None:
            _replace(layer, name, tensor[kept])
    for name in ("out_channels", "num_features"):
        if hasattr(layer, name):
            setattr(layer, name, len(kept))


def _columns(layer: nn.Conv2d, kept: Kept) -> None:
    """Keep input channels of a convolution."""
    _replace(layer, "weight", layer.weight[:, kept])
    layer.in_channels = len(kept)


def _replace(layer: nn.Module, name: str, tensor: torch.Tensor) -> None:
    old = getattr(layer, name)
    new = tensor.detach().clone()
    setattr(layer, name, nn.Parameter(new) if isinstance(old, nn.Parameter) else new)


def _self_attentive(layer: SelfAttentivePooling, kept: Kept) -> None:
    _columns(layer.patch_embed.conv, kept)
    _rows(layer.restore.conv, kept)
    _rows(layer.restore.bn, kept)


def _lip(layer: LocalImportancePooling, kept: Kept) -> None:
    _columns(layer.conv, kept)
    _rows(layer.conv, kept)
    _rows(layer.bn, kept)


def _subspace(layer: SubspaceAttention, kept: Kept) -> None:
    """The hidden layer keeps its share of the channels: those whose weights are largest."""
    hidden = layer.reduce.out_channels
    share = max(1, len(kept) // layer.reduction)
    strength = layer.reduce.weight.detach().flatten(1).norm(dim=1) * layer.expand.weight.detach().flatten(1).norm(dim=0)
    strongest = sorted(strength.argsort(descending=True)[: min(hidden, share)].tolist())
    _columns(layer.reduce, kept)
    _rows(layer.expand, kept)
    _rows(layer.reduce, strongest)
    _columns(layer.expand, strongest)
    layer.channels = len(kept)


def _ulsam(layer: ULSAM, kept: Kept) -> None:
    """Each group keeps equally many of its channels."""
    size = layer.channels // layer.groups
    _rows(layer.scale, kept)
    layer.scale.in_channels = layer.scale.groups = len(kept)
    _rows(layer.scale_bn, kept)
    weight = layer.point.weight.detach()
    rows = [weight[group, [c - group * size for c in kept if c // size == group]] for group in range(layer.groups)]
    _replace(layer.point, "weight", torch.stack(rows))
    layer.point.in_channels = len(kept)
    layer.channels = len(kept)


_LAYERS: Final[dict[type[nn.Module], Callable[[Any, Kept], None]]] = {
    SelfAttentivePooling: _self_attentive,
    LocalImportancePooling: _lip,
    SubspaceAttentionPooling: lambda layer, kept: _subspace(layer.attention, kept),
    UlsamPooling: lambda layer, kept: _ulsam(layer.attention, kept),
    SubspaceAttention: _subspace,
    ULSAM: _ulsam,
}


def own_layers(network: nn.Module) -> list[nn.Module]:
    """Pools and attention modules of a network; not what is inside of them."""
    found: list[nn.Module] = [layer for layer in network.modules() if isinstance(layer, PoolingLayer)]
    inside = {part for layer in found for part in layer.modules()}
    return found + [m for m in network.modules() if isinstance(m, (ULSAM, SubspaceAttention)) and m not in inside]
