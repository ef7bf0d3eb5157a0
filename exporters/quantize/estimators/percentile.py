"""The range without the rarest values at both ends."""

from __future__ import annotations

from typing import Final

import numpy as np

from exporters.quantize.estimators.histogram import HistogramEstimator
from exporters.quantize.estimators.registry import register
from exporters.quantize.span import Range

TAIL: Final = 1e-4
"""Share of the values that may lie outside, at each end: the percentiles 0.01 and 99.99."""


@register("percentile")
class Percentile(HistogramEstimator):
    """At most `TAIL` of the values are clipped at each end; to a bin of the histogram, never more."""

    def range(self) -> Range:
        """The outer edges of the bins with the two percentiles, which include 0."""
        seen = self._histogram
        centres, counts = seen.centres()
        allowed = TAIL * (seen.zeros + int(counts.sum()))
        below = centres[np.cumsum(counts) > allowed]
        above = centres[np.cumsum(counts[::-1])[::-1] > allowed]
        low = float(below[0]) - seen.width / 2 if below.size else 0.0
        high = float(above[-1]) + seen.width / 2 if above.size else 0.0
        return Range(min(max(low, seen.low), 0.0), max(min(high, seen.high), 0.0))
