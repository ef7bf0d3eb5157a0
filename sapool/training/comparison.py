"""Whether one classifier is better than another, or only seems so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import UsageError
from sapool.training.evaluation import Evaluation
from sapool.training.statistics import mcnemar

SCHEMA: Final = "sapool.comparison/1"
LEVEL: Final = 0.05
"""A difference is called significant if equally good classifiers would show it less often than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two classifiers on the same images."""

    first: Evaluation
    second: Evaluation

    @property
    def only_first(self) -> int:
        """Images that only the first one has right."""
        return int((_right(self.first) & ~_right(self.second)).sum())

    @property
    def only_second(self) -> int:
        """Images that only the second one has right."""
        return int((_right(self.second) & ~_right(self.first)).sum())

    @property
    def agreeing(self) -> int:
        """Images for which both give the same answer, right or wrong."""
        return int((self.first.predicted == self.second.predicted).sum())

    @property
    def difference(self) -> float:
        """Accuracy of the second one less that of the first, a share of 1."""
        return self.second.accuracy - self.first.accuracy

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test."""
        return mcnemar(self.only_first, self.only_second)

    @property
    def significant(self) -> bool:
        """Whether the p-value is below `LEVEL`."""
        return self.p_value < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "schema": SCHEMA,
            "images": self.first.images,
            "data": self.first.origin,
            "difference": self.difference,
            "only_first_correct": self.only_first,
            "only_second_correct": self.only_second,
            "same_answer": self.agreeing,
            "test": "McNemar, exact, two-sided",
            "p_value": self.p_value,
            "level": LEVEL,
            "significant": self.significant,
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
        }


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Pair the answers of two classifiers image by image.

    Raises:
        UsageError: they were evaluated on different images.
    """
    if first.classes != second.classes or not np.array_equal(first.labels, second.labels):
        raise UsageError(
            f"{first.name} and {second.name} were not evaluated on the same images",
            hint="evaluate both on the same part of the same data, split with the same seed",
        )
    return Comparison(first, second)


def _right(evaluation: Evaluation) -> NDArray[np.bool_]:
    return np.equal(evaluation.labels, evaluation.predicted)
