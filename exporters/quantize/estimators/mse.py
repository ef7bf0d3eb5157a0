"""The range whose 256 steps are nearest to the values, clipped ones included."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.quantize.estimators.registry import Channels, register
from exporters.quantize.span import Range

_OF_AN_EXAMPLE: Final = 256
_OF_A_BATCH: Final = 2048
_AT_MOST: Final = 1 << 15
"""How many values are looked at one by one."""
_SHARES: Final = np.linspace(1.0, 0.3, 15, dtype=np.float32)  # of the largest value on a side, in steps of 5%
_STEPS: Final = 255
_WEIGHT: Final = 2  # of clipping: its errors have one sign and add up in the sums behind, those of rounding do not

_Floats = NDArray[np.float32]


@register("mse")
class Mse:
    """Least mean squared error of rounding and clipping together (Nagel et al., arXiv 2106.08295, on ranges).

    What rounding costs follows from few values: each loses a twelfth of a squared step, except for zeros, which are exact.
    What clipping costs, which counts twice, depends on values so rare that few have none of them; most of those are the
    extremes of a channel in a batch, which are known of all examples.
    """

    def __init__(self) -> None:
        self._seen = self._taken = 0
        self._values: list[NDArray[np.float32]] = []
        self._lows: list[Channels] = []
        self._highs: list[Channels] = []

    def add(self, values: torch.Tensor, lows: Channels, highs: Channels) -> None:
        """One more batch; some of its values are taken, evenly and of all channels."""
        self._lows.append(lows)
        self._highs.append(highs)
        self._seen += values.numel()
        wanted = min(_OF_AN_EXAMPLE * len(values), _OF_A_BATCH, _AT_MOST - self._taken)
        if wanted > 0:
            stride = max(1, values.numel() // wanted)
            while math.gcd(stride, values.shape[-1]) > 1:
                stride += 1
            self._values.append(values.reshape(-1)[::stride].numpy().copy())
            self._taken += len(self._values[-1])

    def range(self) -> Range:
        """The best of 15 ends on each side of zero, all pairs of them compared."""
        values = np.concatenate(self._values)
        share = len(values) / self._seen
        with np.errstate(over="ignore"):  # of squares of huge values: nothing is clipped then
            highs, above = _clipped(values, np.concatenate(self._highs), share)
            lows, below = _clipped(-values, -np.concatenate(self._lows), share)
            scale = (lows[:, None] + highs) / _STEPS
            error = below[:, None] + above + np.count_nonzero(values) / 12 * scale**2
        low, high = np.unravel_index(int(error.argmin()), error.shape)
        return Range(-float(lows[low]), float(highs[high]))


def _clipped(values: NDArray[np.float32], extremes: Channels, share: float) -> tuple[_Floats, _Floats]:
    """Ends that a range may have on the positive side, and what each cuts off: its squared error, weighted.

    Args:
        values: those that were taken, of either sign.
        extremes: of channels in batches, positive on this side.
        share: of all values, how many were taken.
    """
    largest = extremes.max()
    if largest <= 0:
        return np.zeros(1, np.float32), np.zeros(1, np.float32)
    ends = largest * _SHARES
    cut, known = (
        np.square(np.maximum(some[some > ends[-1]] - ends[:, None], 0)).sum(axis=1) for some in (values, extremes)
    )
    # A value may be taken and also be an extreme, so the larger of both estimates.
    return ends, _WEIGHT * np.maximum(cut, share * known)
