"""How far above its output an input has to begin, so that nothing is overwritten that is still to be read.

For output pixel t, end(t) is the number of bytes written up to and including it, and first(t) the lowest byte of the input
that it or a later pixel still reads. Output and input may share bytes if the input begins max(end(t) - first(t)) above.
An element is read as a whole before its result is stored, so elements that do not get wider need no distance; where they do,
the last one of the input must not begin below that of the output.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from firmware_sim.overlap.rules import Rule
from firmware_sim.overlap.windows import Axis, Windows


def distance_bytes(rules: Iterable[Rule], input: int) -> int | None:
    """Least distance from the beginning of the output up to that of an input, for all of `rules`.

    Returns:
        The distance, not rounded; None if the two must not share bytes, or only all of them (a copy).
    """
    largest = 0
    for rule in rules:
        if input not in rule.inputs or rule.step in ("apart", "copy"):
            return None
        largest = max(largest, rule.growth_bytes)
        if rule.windows is not None:
            largest = max(largest, _windowed(rule.windows, rule))
    return largest


@lru_cache(maxsize=1 << 13)  # a search plans the same layers hundreds of times
def _windowed(geometry: Windows, rule: Rule) -> int:
    rows = _starts(geometry.height) * geometry.width.size
    starts = (rows[:, None] + _starts(geometry.width)[None, :]).reshape(-1) * geometry.in_bytes
    image = geometry.height.size * geometry.width.size * geometry.in_bytes
    all_starts = (np.arange(geometry.batches)[:, None] * image + starts[None, :]).reshape(-1)
    first = np.minimum.accumulate(all_starts[::-1])[::-1]
    pixels = np.arange(len(first))
    if rule.step == "row":
        row = geometry.width.out
        ends = (pixels // row + 1) * row
    else:
        ends = np.minimum(pixels + rule.count, len(first))
    return max(int((ends * geometry.out_bytes - first).max()), 0)


def _starts(axis: Axis) -> NDArray[np.int64]:
    """The first row or column that each output reads, at the earliest."""
    return np.clip(np.arange(axis.out, dtype=np.int64) * axis.stride - axis.pad, 0, axis.size - 1)
