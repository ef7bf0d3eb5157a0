"""A moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Keeps `network` near the average of another one's weights; statistics of normalisation are averaged too.

    The first steps count more, min(decay, (1 + n) / (10 + n)), so that random initial weights are forgotten; so does
    TensorFlow's ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """After step number `step`, from 0."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for averaged, current in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if averaged.is_floating_point():
                averaged.lerp_(current, share)
            else:
                averaged.copy_(current)
