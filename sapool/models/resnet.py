"""ResNet18 and ResNet50 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

import torch
from torch import nn

from sapool.layers import conv2d, max_pool2d
from sapool.models import stages
from sapool.models.blocks import rounded
from sapool.models.network import Network
from sapool.models.parts import NetworkParts, Part
from sapool.models.registry import register
from sapool.spec import ModelSpec

# Table 1 of the paper: channels of the stem, and of the 3x3 convolutions of each stage.
_STEM: Final = 64
_STAGES: Final = (64, 128, 256, 512)


class Stem(nn.Sequential):
    """A 7x7 convolution with a stride, and a 3x3 max pool with a stride of 2.

    [B, C, H, W] -> [B, O, ceil(ceil(H / stride) / 2), ceil(ceil(W / stride) / 2)] (table 1 of the paper).
    """

    def __init__(self, channels: int, out_channels: int, stride: int, *, padding: str = "same") -> None:
        super().__init__(
            conv2d(channels, out_channels, 7, stride, padding=padding),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            max_pool2d(3, 2, padding=padding),
        )


class Residual(nn.Module):
    """Convolutions whose result is added to the input; ReLU behind the sum.

    The input is projected by a 1x1 convolution with the block's stride (`downsample`) where its shape has to change or
    where it may not be added as it is (option B of the paper).
    """

    expansion: ClassVar[int] = 1

    def __init__(self, channels: int, out_channels: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if not shortcut or stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(conv2d(channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))

    @classmethod
    def inner(cls, channels: int, out_channels: int) -> tuple[int, ...]:
        """Channels behind each convolution but the last one, unless they were pruned."""
        return (out_channels // cls.expansion,)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the input."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.relu(self.residual(x) + (x if self.downsample is None else self.downsample(x)))
        return y


class BasicBlock(Residual):
    """Two 3x3 convolutions; the first one has the stride.

    [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)] (figure 5 of the paper, left).
    """

    def __init__(
        self, channels: int, out_channels: int, stride: int, shortcut: bool, *, padding: str = "same",
        inner: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(channels, out_channels, stride, shortcut)
        (first,) = inner or self.inner(channels, out_channels)
        self.conv1 = conv2d(channels, first, 3, stride, padding=padding)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv2d(first, out_channels, 3, padding=padding)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return y


class Bottleneck(Residual):
    """1x1, 3x3 and 1x1 convolutions, the middle ones with a quarter of the channels.

    The 3x3 convolution has the stride, as in torchvision ("v1.5"); the paper strides the first one, which skips three
    pixels of four. [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)] (figure 5 of the paper, right).
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self, channels: int, out_channels: int, stride: int, shortcut: bool, *, padding: str = "same",
        inner: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(channels, out_channels, stride, shortcut)
        first, second = inner or self.inner(channels, out_channels)
        self.conv1 = conv2d(channels, first, 1)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = conv2d(first, second, 3, stride, padding=padding)
        self.bn2 = nn.BatchNorm2d(second)
        self.conv3 = conv2d(second, out_channels, 1)
        self.bn3 = nn.BatchNorm2d(out_channels)

    @classmethod
    def inner(cls, channels: int, out_channels: int) -> tuple[int, ...]:
        return (out_channels // cls.expansion,) * 2

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        return y


class ResNet(Network):
    """A ResNet whose four stages shrink their maps as a specification says.

    The stem is a 7x7 convolution with a stride of 2, unless `prepool` takes the stride's place, and a 3x3 max pool with a
    stride of 2, which stays. The width multiplies all channels, rounded to multiples of 8.

    [B, channels, resolution, resolution] -> logits [B, classes].
    """

    block: ClassVar[type[BasicBlock] | type[Bottleneck]]

    @classmethod
    def parts(cls, spec: ModelSpec) -> NetworkParts:
        first = stages.width(spec, "stem", rounded(_STEM * spec.width))
        stem = Part.of(Stem, spec.channels, first.kept, 1 if spec.prepool > 1 else 2, padding=spec.padding)
        make = partial(cls.block, padding=spec.padding)
        channels = [rounded(base * spec.width) * cls.block.expansion for base in _STAGES]
        made, last = stages.parts(spec, first, [stages.Plan(outer, make, cls.block.inner) for outer in channels])
        return NetworkParts(stages.prepool(spec), stem, made, None, last.kept)


@register("resnet18")
class ResNet18(ResNet):
    """ResNet18: two blocks of two convolutions a stage."""

    block = BasicBlock


@register("resnet50")
class ResNet50(ResNet):
    """ResNet50: three, four, six and three bottlenecks."""

    block = Bottleneck
