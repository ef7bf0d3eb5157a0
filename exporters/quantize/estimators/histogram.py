"""How often which values occur, while nobody knows yet how large they get."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

BINS: Final = 2048  # on each side of zero; at least half are used, so that a step of int8 is four bins or more
_FINEST: Final = 2.0**-100


class Histogram:
    """Counts of values in bins of equal width around zero.

    The width is a power of two. When a value does not fit, pairs of bins merge until it does, so that one pass over the data
    is enough and no count is estimated.

    Attributes:
        low: smallest value, 0 if there is no smaller one.
        high: largest value, 0 if there is no larger one.
        width: of a bin, 0 before there is a value other than zero.
        counts: of each bin, int64 [2 * BINS]; the first one above zero is counts[BINS].
    """

    def __init__(self) -> None:
        self.low = self.high = self.width = 0.0
        self.counts: NDArray[np.int64] = np.zeros(2 * BINS, np.int64)

    def add(self, values: torch.Tensor, low: float, high: float) -> None:
        """Count values of any shape, none outside `low` and `high`."""
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._make_room(max(-low, high))
        if values.numel():
            # Exact in single precision: the width is a power of two, and there are fewer bins than it has digits for.
            scaled = values.reshape(-1) * (1 / self.width if self.width else 0.0)
            index = scaled.floor_().to(torch.int32).add_(BINS)
            self.counts += torch.bincount(index, minlength=2 * BINS).numpy()

    def _make_room(self, largest: float) -> None:
        if largest <= 0:
            return
        # The smallest power of two with `largest` < BINS * width; frexp gives largest < 2^exponent.
        wanted = max(math.ldexp(1.0, math.frexp(largest)[1]) / BINS, _FINEST)
        if self.width == 0:
            self.width = wanted
        while self.width < wanted:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[BINS // 2 : BINS // 2 + BINS] = pairs
            self.width *= 2
