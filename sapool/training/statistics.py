"""Statistics of counted successes."""

from __future__ import annotations

import math
from typing import Final

Z_95: Final = 1.959963984540054
"""The 97.5% quantile of the normal distribution: intervals that cover 95%."""


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a proportion that holds its coverage for few trials and near 0 and 1.

    Returns:
        Lower and upper end, in [0, 1]; all of it if there were no trials.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends the formula is exact but its rounding is not.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high
