"""What all backbones have in common."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from sapool.models.parts import NetworkParts
from sapool.models.stages import Stage, Stages
from sapool.pooling import PoolingLayer
from sapool.spec import ModelSpec


class Network(nn.Module):
    """Prepool, stem, stages, head, mean over the map, classifier.

    Convolutions start from He's normal distribution (fan-out) and the classifier from one of deviation 0.01, as
    torchvision's MobileNetV2 does; pools and attention modules start as they say themselves.

    [B, channels, resolution, resolution] -> logits [B, classes].

    Args:
        spec: what the network is built from; kept as `spec`.

    Raises:
        UsageError: a pooling method or an attention module refuses its settings, or a block cannot be replaced.
    """

    dropout_rate: ClassVar[float] = 0.0
    """Share of the features that training drops in front of the classifier."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        parts = self.parts(spec)
        self.spec = spec
        stem = parts.stem.build()
        stages = Stages(*(Stage(stage) for stage in parts.stages))
        head = nn.Identity() if parts.head is None else parts.head.build()
        self.prepool = nn.Identity() if parts.prepool is None else parts.prepool.build()
        self.stem = stem
        self.stages = stages
        self.head = head
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(self.dropout_rate)
        self.classifier = nn.Linear(parts.features, spec.classes)
        self._initialise()

    @classmethod
    def parts(cls, spec: ModelSpec) -> NetworkParts:
        """What the network of a specification is made of."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(self.stages(self.stem(self.prepool(x))))
        y: torch.Tensor = self.classifier(self.dropout(self.pool(x).flatten(1)))
        return y

    def _initialise(self) -> None:
        # Without memory there is nothing to fill, and normal_ would import torch's compiler for it: two seconds.
        if self.classifier.weight.is_meta:
            return
        apart: list[nn.Module] = [module for module in self.modules() if isinstance(module, PoolingLayer)]
        apart += [module for stage in self.stages for module in stage.attention]
        kept = {part for module in apart for part in module.modules()}
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module not in kept:
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)
