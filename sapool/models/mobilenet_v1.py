"""MobileNetV1 (Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
arXiv 1704.04861)."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

from torch import nn

from sapool.models import stages
from sapool.models.blocks import ConvBnRelu6
from sapool.models.network import Network
from sapool.models.parts import NetworkParts, Part
from sapool.models.registry import register
from sapool.spec import ModelSpec

# Table 1 of the paper: channels of the stem and of each stage; a stage is what lies between two strides.
_STEM: Final = 32
_STAGES: Final = (64, 128, 256, 512, 1024)


def scaled(channels: int, width: float) -> int:
    """Channels under a width multiplier: cut off to a whole number, at least 8.

    (tensorflow/models, research/slim/nets/mobilenet_v1.py: depth_multiplier and min_depth)
    """
    return max(int(channels * width), 8)


class DepthwiseSeparable(nn.Sequential):
    """Filter per channel, then mix the channels; each with normalisation and ReLU6.

    [B, C, H, W] -> [B, O, ceil(H / stride), ceil(W / stride)] (figure 3 of the paper; ReLU6 as in the authors' code). It
    has no shortcut; `shortcut` is there because other blocks have one.
    """

    def __init__(self, channels: int, out_channels: int, stride: int, shortcut: bool, *, padding: str = "same") -> None:
        super().__init__(
            ConvBnRelu6(channels, channels, 3, stride, groups=channels, padding=padding),
            ConvBnRelu6(channels, out_channels, 1),
        )


@register("mobilenet_v1")
class MobileNetV1(Network):
    """MobileNetV1 whose five stages shrink their maps as a specification says.

    The stem has a stride of 2 unless `prepool` takes its place. The width multiplies all channels.

    [B, channels, resolution, resolution] -> logits [B, classes].
    """

    dropout_rate: ClassVar[float] = 0.001

    @classmethod
    def parts(cls, spec: ModelSpec) -> NetworkParts:
        first = stages.width(spec, "stem", scaled(_STEM, spec.width))
        stem = Part.of(ConvBnRelu6, spec.channels, first.kept, 3, 1 if spec.prepool > 1 else 2, padding=spec.padding)
        make = partial(DepthwiseSeparable, padding=spec.padding)
        plans = [stages.Plan(scaled(base, spec.width), make, lambda inner, outer: ()) for base in _STAGES]
        made, last = stages.parts(spec, first, plans)
        return NetworkParts(stages.prepool(spec), stem, made, None, last.kept)
