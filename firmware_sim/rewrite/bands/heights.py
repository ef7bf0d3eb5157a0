"""How high bands can be for a limit of the bytes in use. Heights here are in the order in which the bands are computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_sim.rewrite.bands.estimate import StageCosts
from firmware_sim.rewrite.bands.geometry import Rows

MOST_BANDS: Final = 40


def highest(costs: StageCosts, limit_bytes: int, upward: bool) -> tuple[int, ...] | None:
    """The highest band at each place; None where not even one row keeps the limit, or there would be too many bands."""
    heights: list[int] = []
    while sum(heights) < costs.stage.rows:
        height = _highest(costs, sum(heights), limit_bytes, upward)
        if not height or len(heights) >= MOST_BANDS:
            return None
        heights.append(height)
    return tuple(heights)


def _highest(costs: StageCosts, done: int, limit_bytes: int, upward: bool) -> int:
    """Rows of the highest next band, after `done` rows, that keeps the limit; 0 if not even one row does."""
    rows = costs.stage.rows

    def fits(height: int) -> bool:
        band = Rows(rows - done - height, rows - done) if upward else Rows(done, done + height)
        return costs.peak(band, upward) <= limit_bytes

    return _most(fits, rows - done)


def _most(fits: Callable[[int], bool], most: int) -> int:
    """The greatest number up to `most` that fits, if those above one that does not do not either; 0 if none does."""
    if most < 1 or not fits(1):
        return 0
    low, step = 1, 1
    while low + step <= most and fits(low + step):
        low += step
        step *= 2
    high = min(low + step, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
