"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

import torch
from torch import nn

from sapool.layers import conv2d
from sapool.models import stages
from sapool.models.blocks import ConvBnRelu6, rounded
from sapool.models.network import Network
from sapool.models.parts import NetworkParts, Part
from sapool.models.registry import register
from sapool.spec import ModelSpec

# Table 2 of the paper: expansion t and channels c; the numbers of blocks n stand in sapool.catalog.
_STAGES: Final = ((1, 16), (6, 24), (6, 32), (6, 64), (6, 96), (6, 160), (6, 320))
_STEM: Final = 32
_LAST: Final = 1280


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project; the input is added where shape and stride allow.

    [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)] (section 3.3 and figure 4 of the paper).
    """

    def __init__(
        self, channels: int, out_channels: int, stride: int, shortcut: bool, *, expansion: int, padding: str = "same",
        inner: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        hidden = inner[0] if inner else channels * expansion
        layers: list[nn.Module] = [ConvBnRelu6(channels, hidden, 1)] if expansion != 1 else []
        layers += [
            ConvBnRelu6(hidden, hidden, 3, stride, groups=hidden, padding=padding),
            conv2d(hidden, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = shortcut and stride == 1 and channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


def _inner(expansion: int, channels: int, out_channels: int) -> tuple[int, ...]:
    """Channels of a block's expansion, if it has one."""
    return (channels * expansion,) if expansion != 1 else ()


@register("mobilenet_v2")
class MobileNetV2(Network):
    """MobileNetV2 whose seven stages shrink their maps as a specification says.

    The stem has a stride of 2 unless `prepool` takes its place. The width multiplies all channels; the last convolution
    keeps at least 1,280 as published.

    [B, channels, resolution, resolution] -> logits [B, classes].
    """

    dropout_rate: ClassVar[float] = 0.2

    @classmethod
    def parts(cls, spec: ModelSpec) -> NetworkParts:
        first = stages.width(spec, "stem", rounded(_STEM * spec.width))
        last = stages.width(spec, "last", rounded(_LAST * max(1.0, spec.width))).kept
        stem = Part.of(ConvBnRelu6, spec.channels, first.kept, 3, 1 if spec.prepool > 1 else 2, padding=spec.padding)
        plans = [
            stages.Plan(
                rounded(base * spec.width),
                partial(InvertedResidual, expansion=expansion, padding=spec.padding),
                partial(_inner, expansion),
            )
            for expansion, base in _STAGES
        ]
        made, end = stages.parts(spec, first, plans)
        head = Part.of(ConvBnRelu6, end.kept, last, 1)
        return NetworkParts(stages.prepool(spec), stem, made, head, last)
