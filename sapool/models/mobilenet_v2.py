"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018)."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from sapool.layers import Conv2dSame
from sapool.models.registry import register
from sapool.models.stages import prepool, stage
from sapool.pooling import PoolingLayer
from sapool.spec import ModelSpec, extents

# Table 2 of the paper: expansion t, channels c, blocks n.
_STAGES: Final = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
_STEM: Final = 32
_LAST: Final = 1280


def rounded(channels: float, divisor: int = 8) -> int:
    """Channels rounded to a multiple of 8, never by more than a tenth downwards (the authors' published code)."""
    nearest = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * channels else nearest


class ConvBnRelu6(nn.Sequential):
    """Convolution with SAME padding, batch normalisation, ReLU6."""

    def __init__(self, channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            Conv2dSame(channels, out_channels, kernel, stride, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Expand, filter per channel, project; the input is added where shape and stride allow.

    [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)] (section 3.3 and figure 4 of the paper).
    """

    def __init__(self, channels: int, out_channels: int, stride: int, expansion: int, *, shortcut: bool = True) -> None:
        super().__init__()
        hidden = channels * expansion
        layers: list[nn.Module] = [ConvBnRelu6(channels, hidden, 1)] if expansion != 1 else []
        layers += [
            ConvBnRelu6(hidden, hidden, 3, stride, groups=hidden),
            Conv2dSame(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = shortcut and stride == 1 and channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.residual else y


@register("mobilenet_v2")
class MobileNetV2(nn.Module):
    """MobileNetV2 whose seven stages shrink their maps as a specification says.

    The stem has a stride of 2 unless `prepool` takes its place. The width multiplies all channels; the last convolution
    keeps at least 1,280 as published. Convolutions start from He's normal distribution (fan-out) and the classifier from
    one of deviation 0.01, as in torchvision; pools start as they say themselves.

    [B, channels, resolution, resolution] -> logits [B, classes].
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        sizes = extents(spec)
        channels = rounded(_STEM * spec.width)
        self.prepool = prepool(spec)
        self.stem = ConvBnRelu6(spec.channels, channels, 3, 1 if spec.prepool > 1 else 2)
        stages = []
        for number, (expansion, base, blocks) in enumerate(_STAGES, start=1):
            out_channels = rounded(base * spec.width)

            def block(inner: int, outer: int, stride: int, shortcut: bool, expansion: int = expansion) -> nn.Module:
                return InvertedResidual(inner, outer, stride, expansion, shortcut=shortcut)

            stages.append(stage(spec, number, (channels, out_channels), blocks, sizes[number - 1], block))
            channels = out_channels
        self.stages = nn.Sequential(*stages)
        last = rounded(_LAST * max(1.0, spec.width))
        self.head = ConvBnRelu6(channels, last, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(last, spec.classes)
        self._initialise()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.stages(self.stem(self.prepool(x))))
        y: torch.Tensor = self.classifier(self.dropout(self.pool(x).flatten(1)))
        return y

    def _initialise(self) -> None:
        pools = {part for pool in self.modules() if isinstance(pool, PoolingLayer) for part in pool.modules()}
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in pools:
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)
