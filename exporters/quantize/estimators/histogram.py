"""How often which values occur, while nobody knows yet how large they get."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

BINS: Final = 4096  # on each side of zero; at least half are used, so that a step of int8 is eight bins or more
_FINEST: Final = 2.0**-100


class Histogram:
    """Counts of values in bins of equal width around zero.

    The width is a power of two. When a value does not fit, pairs of bins merge until it does, so that one pass over the data
    is enough and no count is estimated. Zeros are counted apart: behind a ReLU they are the most frequent value, and int8
    represents them without an error.

    Attributes:
        low: smallest value, 0 if there is no smaller one.
        high: largest value, 0 if there is no larger one.
        zeros: how many values are exactly zero.
        width: of a bin, 0 before there is a value other than zero.
    """

    def __init__(self) -> None:
        self.low = self.high = self.width = 0.0
        self.zeros = 0
        self._counts: NDArray[np.int64] = np.zeros(2 * BINS, np.int64)

    def add(self, values: torch.Tensor, low: float, high: float) -> None:
        """Count values of any shape, between `low` and `high`."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._make_room(max(-low, high))
        flat = values.reshape(-1)
        nonzero = flat[flat != 0]
        self.zeros += flat.numel() - nonzero.numel()
        if nonzero.numel():
            index = torch.floor_(nonzero.double().div_(self.width)).long().add_(BINS)
            self._counts += torch.bincount(index, minlength=2 * BINS).numpy()

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The middle of each bin that has values other than zero, in increasing order, and how many."""
        filled = np.flatnonzero(self._counts)
        return np.asarray((filled - BINS + 0.5) * self.width, np.float64), self._counts[filled]

    def _make_room(self, largest: float) -> None:
        if largest <= 0:
            return
        # The smallest power of two with `largest` < BINS * width; frexp gives largest < 2^exponent.
        wanted = max(math.ldexp(1.0, math.frexp(largest)[1]) / BINS, _FINEST)
        if self.width == 0:
            self.width = wanted
        while self.width < wanted:
            pairs = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.zeros_like(self._counts)
            self._counts[BINS // 2 : BINS // 2 + BINS] = pairs
            self.width *= 2


class HistogramEstimator:
    """What estimators share that look at how often values occur: they say `range` of it."""

    def __init__(self) -> None:
        self._histogram = Histogram()

    def add(self, values: torch.Tensor, low: float, high: float) -> None:
        """One more batch."""
        self._histogram.add(values, low, high)
