"""The range whose 256 steps are nearest to the values, clipped ones included."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.quantize.estimators.histogram import BINS, Histogram
from exporters.quantize.estimators.registry import Channels, register
from exporters.quantize.span import Range

_EXAMPLES: Final = 16  # whose values are counted, if there are so many,
_ONE_IN: Final = 16  # and of more than 256 one in so many
_SHARES: Final = np.linspace(1.0, 0.3, 36)  # of the largest value on a side, in steps of 2%
_STEPS: Final = 255

_MIDDLES: Final = np.arange(BINS) + 0.5

_Floats = NDArray[np.float64]


@register("mse")
class Mse:
    """Least mean squared error of rounding and clipping together (Nagel et al., arXiv 2106.08295, section 3.2).

    How much rounding costs shows in a few examples. What clipping costs depends on values so rare that few examples have
    none of them; most of those are the extremes of a channel in a batch, which are known of all examples.
    """

    def __init__(self) -> None:
        self._histogram = Histogram()
        self._seen = self._counted = 0
        self._lows: list[Channels] = []
        self._highs: list[Channels] = []

    def add(self, values: torch.Tensor, lows: Channels, highs: Channels) -> None:
        """One more batch; the examples that are counted are chosen evenly from it."""
        self._lows.append(lows)
        self._highs.append(highs)
        count = len(values)
        self._seen += count
        wanted = min(count, max(_EXAMPLES, self._seen // _ONE_IN) - self._counted)
        chosen = values[:: count // wanted][:wanted] if wanted > 0 else values[:0]
        self._counted += len(chosen)
        self._histogram.add(chosen, float(lows.min()), float(highs.max()))

    def range(self) -> Range:
        """The best of 36 ends on each side of zero, all pairs of them compared."""
        width, counts = self._histogram.width, self._histogram.counts
        if not width:
            return Range(0.0, 0.0)
        share = self._counted / self._seen
        below = _Side(counts[BINS - 1 :: -1], -np.concatenate(self._lows) / width, share)
        above = _Side(counts[BINS:], np.concatenate(self._highs) / width, share)
        scale = (below.ends[:, None] + above.ends) / _STEPS
        error = below.error(scale) + above.error(scale.T).T
        low, high = np.unravel_index(int(error.argmin()), error.shape)
        return Range(-float(below.ends[low]) * width, float(above.ends[high]) * width)


class _Side:
    """What is lost of the values on one side of zero; all in bins.

    Args:
        counts: of values in each bin, from zero outwards.
        extremes: of channels in batches, positive on this side.
        share: of the examples that are counted, of all that gave extremes.
    """

    def __init__(self, counts: NDArray[np.int64], extremes: NDArray[np.floating], share: float) -> None:
        largest = max(0.0, float(extremes.max()))
        self.ends: _Floats = largest * _SHARES if largest else np.zeros(1)
        bins = min(int(largest) + 1, BINS)
        # Of all values up to each bin: how many, their sum, and that of their squares.
        powers = np.zeros((3, bins + 1))
        powers[0, 1:] = counts[:bins]
        np.multiply(powers[0, 1:], _MIDDLES[:bins], out=powers[1, 1:])
        np.multiply(powers[1, 1:], _MIDDLES[:bins], out=powers[2, 1:])
        np.cumsum(powers, axis=1, out=powers)
        self._numbers, self._squares = powers[0], powers[2]
        inside = powers[:, self._bin(self.ends)]
        number, total, square = powers[:, -1:] - inside
        over = np.maximum(extremes[extremes > self.ends[-1]] - self.ends[:, None], 0)
        # A value may be counted and also be an extreme, so the larger of both estimates.
        self._clipped = np.maximum(square - self.ends * (2 * total - self.ends * number), share * (over**2).sum(axis=1))
        self._inside = inside[0]

    def error(self, scale: _Floats) -> _Floats:
        """Summed squared error for each end [K] and the steps [K, L] that come with it.

        A value below half a step becomes 0; all others are anywhere between two steps.
        """
        zeroed = self._bin(scale / 2)
        rounded = np.maximum(self._inside[:, None] - self._numbers[zeroed], 0)
        error: _Floats = self._clipped[:, None] + self._squares[zeroed] + rounded * scale**2 / 12
        return error

    def _bin(self, values: _Floats) -> NDArray[np.int64]:
        return np.minimum(values.astype(np.int64), len(self._numbers) - 1)
