"""Statistics of a classifier's answers: intervals, calibration, and whether two of them differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The answers whose confidence lies in (low, high]: how many, how sure on average, and how often right."""

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None


CALIBRATION_BINS: Final = 15


def reliability(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = CALIBRATION_BINS
) -> tuple[ReliabilityBin, ...]:
    """Confidence and accuracy of the answers, in bins of equal width.

    Args:
        confidence: [N], the probability that the classifier gives its answer, 0 to 1.
        correct: [N], whether the answer is right.
        bins: their number.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2.
    """
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    result = []
    for number in range(bins):
        members = numbers == number
        images = int(members.sum())
        means = (float(confidence[members].mean()), float(correct[members].mean())) if images else (None, None)
        result.append(ReliabilityBin(float(edges[number]), float(edges[number + 1]), images, *means))
    return tuple(result)


def calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Expected calibration error (ECE): the mean distance of confidence and accuracy, weighted by the images of a bin.

    Source: Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015; equation 5 of Guo et
    al. (2017).
    """
    total = sum(one.images for one in bins)
    gaps = (one.images * abs(one.accuracy - one.confidence) for one in bins if one.accuracy is not None)  # type: ignore[operator]
    return sum(gaps) / total if total else 0.0


def mcnemar(only_first: int, only_second: int) -> float:
    """How likely two equally good classifiers differ at least this much on the same images (exact, two-sided).

    Args:
        only_first: images that only the first one has right.
        only_second: images that only the second one has right.

    Returns:
        The p-value: the differing images are heads and tails of a fair coin if neither is better.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), with the binomial distribution in place of its approximation.
    """
    differing = only_first + only_second
    term, tail = 1, 0
    for count in range(min(only_first, only_second) + 1):
        tail += term
        term = term * (differing - count) // (count + 1)
    # Whole numbers until here: for many images each term alone is beyond a float.
    return float(min(1.0, 2 * tail / 2**differing))
