"""The range without the rarest values at both ends."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from exporters.quantize.estimators.histogram import BINS, Histogram
from exporters.quantize.estimators.registry import Channels, register
from exporters.quantize.span import Range

TAIL: Final = 1e-4
"""Share of the values that may lie outside, at each end: the percentiles 0.01 and 99.99."""


@register("percentile")
class Percentile:
    """At most `TAIL` of the values are clipped at each end; to a bin of the histogram, never more."""

    def __init__(self) -> None:
        self._histogram = Histogram()

    def add(self, values: torch.Tensor, lows: Channels, highs: Channels) -> None:
        """One more batch."""
        self._histogram.add(values, float(lows.min()), float(highs.max()))

    def range(self) -> Range:
        """The outer edges of the bins with the two percentiles, which include 0."""
        seen = self._histogram
        before = np.cumsum(seen.counts)
        allowed = TAIL * before[-1]
        first = int(np.searchsorted(before, allowed, side="right"))
        last = int(np.searchsorted(before, before[-1] - allowed))
        low, high = (first - BINS) * seen.width, (last + 1 - BINS) * seen.width
        return Range(min(max(low, seen.low), 0.0), max(min(high, seen.high), 0.0))
