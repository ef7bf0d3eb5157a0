"""The range whose 256 steps are nearest to the values, clipped ones included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.quantize.estimators.histogram import HistogramEstimator
from exporters.quantize.estimators.registry import register
from exporters.quantize.span import Range

_SHARES: Final = np.linspace(1.0, 0.1, 91)  # of the largest value on a side, in steps of 1%
_ROUNDS: Final = 2


@register("mse")
class Mse(HistogramEstimator):
    """Least mean squared error of rounding and clipping together.

    Each end of the range in turn takes the best of 91 shares of its extreme while the other one stays, twice.
    """

    def range(self) -> Range:
        """The best range that was found."""
        seen = self._histogram
        centres, counts = seen.centres()
        best = Range(seen.low, seen.high)
        for _ in range(_ROUNDS):
            highs = [Range(best.low, seen.high * share) for share in _SHARES] if seen.high > 0 else [best]
            best = min(highs, key=_error_of(centres, counts))
            lows = [Range(seen.low * share, best.high) for share in _SHARES] if seen.low < 0 else [best]
            best = min(lows, key=_error_of(centres, counts))
        return best


def _error_of(values: NDArray[np.float64], counts: NDArray[np.int64]) -> Callable[[Range], float]:
    """The summed squared error that int8 with a given range makes on these values."""

    def error(span: Range) -> float:
        scale = (span.high - span.low) / 255
        if scale <= 0:
            return float(np.sum(counts * values**2))
        zero_point = np.clip(round(-128 - span.low / scale), -128, 127)
        steps = np.clip(np.rint(values / scale) + zero_point, -128, 127) - zero_point
        return float(np.sum(counts * (steps * scale - values) ** 2))

    return error
