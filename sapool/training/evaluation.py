"""Measures how well a classifier does, whatever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import ModelError, UsageError
from sapool.data import Split
from sapool.data.preprocessing import DESCRIPTION
from sapool.training.predictors.base import Predictor
from sapool.training.statistics import ReliabilityBin, calibration_error, reliability, wilson_interval

SCHEMA: Final = "sapool.evaluation/1"

# Rows of int8 probabilities miss a sum of 1 by half a step of 1/256 for each class that rounds.
_SUM_TOLERANCE: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The answers of a classifier on one part of a data set.

    Args:
        name: the file or object that answered.
        classes: names, in the order of the rows and columns of `confusion`.
        labels: int64 [N], the class of each image.
        predicted: int64 [N], the class with the highest output.
        confidence: [N], the probability that the classifier gives its answer.
        origin: where the images come from, in words.
        runtime: what ran the network, in words.
        seconds: time of all answers.
    """

    name: str
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    origin: str
    runtime: str
    seconds: float

    @property
    def confusion(self) -> NDArray[np.int64]:
        """int64 [K, K]; entry [i, j] counts images of class i that were taken for class j."""
        matrix = np.zeros((len(self.classes),) * 2, dtype=np.int64)
        np.add.at(matrix, (self.labels, self.predicted), 1)
        return matrix

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def correct(self) -> int:
        """Number of images whose highest logit is that of their class."""
        return int((self.labels == self.predicted).sum())

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, a share of 1."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the accuracy (Wilson)."""
        return wilson_interval(self.correct, self.images)

    @property
    def per_class(self) -> tuple[float | None, ...]:
        """Share of each class that was recognised; None for a class without images."""
        matrix = self.confusion
        return tuple(int(matrix[i, i]) / int(n) if n else None for i, n in enumerate(matrix.sum(axis=1)))

    @property
    def reliability(self) -> tuple[ReliabilityBin, ...]:
        """Confidence and accuracy of the answers, in bins of confidence."""
        return reliability(self.confidence, self.labels == self.predicted)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, a share of 1."""
        return calibration_error(self.reliability)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        matrix = self.confusion
        per_class = zip(self.classes, matrix.sum(axis=1), self.per_class, strict=True)
        return {
            "schema": SCHEMA,
            "model": self.name,
            "data": self.origin,
            "runtime": self.runtime,
            "preprocessing": DESCRIPTION,
            "images": self.images,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "calibration_error": self.calibration_error,
            "reliability": [asdict(one) for one in self.reliability],
            "classes": [
                {
                    "name": name,
                    "images": int(images),
                    "accuracy": share,
                    "accuracy_interval_95": list(wilson_interval(int(matrix[number, number]), int(images))),
                }
                for number, (name, images, share) in enumerate(per_class)
            ],
            "confusion": matrix.tolist(),
            "seconds": round(self.seconds, 3),
        }


def evaluate(
    predictor: Predictor,
    split: Split,
    classes: tuple[str, ...],
    *,
    batch_size: int = 64,
    progress: Callable[[int, float], None] | None = None,
) -> Evaluation:
    """Let `predictor` classify all images of `split`.

    Args:
        predictor: gives logits for pixels.
        split: images at the predictor's resolution, with labels.
        classes: names of the classes, in the order of the labels.
        batch_size: images that are given to the predictor at once.
        progress: called with the number and the share of the images done.

    Raises:
        UsageError: the split is empty, or its classes or images are not those of the predictor.
        ModelError: the predictor gives what is no number.
    """
    check_fit(predictor, split, classes)
    predicted = np.zeros(len(split), dtype=np.int64)
    confidence = np.zeros(len(split))
    started = time.perf_counter()
    for start in range(0, len(split), batch_size):
        logits = predictor(split.images[start : start + batch_size])
        if not np.isfinite(logits).all():
            raise ModelError("the network gives logits that are not finite numbers", where=predictor.name)
        predicted[start : start + batch_size] = logits.argmax(axis=1)
        confidence[start : start + batch_size] = probabilities(logits).max(axis=1)
        if progress is not None:
            done = min(start + batch_size, len(split))
            progress(done, done / len(split))
    return Evaluation(
        name=predictor.name,
        classes=classes,
        labels=np.asarray(split.labels),
        predicted=predicted,
        confidence=confidence,
        origin=split.origin,
        runtime=predictor.runtime,
        seconds=time.perf_counter() - started,
    )


def probabilities(outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """What a classifier gives as probabilities [N, K]: as it is where it ends in a softmax, else the softmax of its logits.

    A file of others may end in a softmax and does not say so; rows between 0 and 1 that add up to 1 are taken for that.
    """
    rows = outputs.astype(np.float64)
    if (rows >= 0).all() and (rows <= 1).all() and (np.abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE).all():
        return rows
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def check_fit(predictor: Predictor, split: Split, classes: tuple[str, ...]) -> None:
    """Refuse data that is not what the network was made for.

    Raises:
        UsageError: no images, another size, another number of classes, or classes of other names or order.
    """
    if not len(split):
        raise UsageError("there are no images to evaluate on", hint="choose another part with --split")
    if predictor.classes != len(classes):
        raise UsageError(
            f"the network tells {predictor.classes} classes apart, the data has {len(classes)}", where=predictor.name
        )
    if predictor.labels is not None and predictor.labels != classes:
        own, other = next((a, b) for a, b in zip(predictor.labels, classes, strict=True) if a != b)
        raise UsageError(
            f"the network's classes are not those of the data: {own!r} where the data has {other!r}",
            where=predictor.name,
        )
    shape = (predictor.resolution, predictor.resolution, predictor.channels)
    if split.images.shape[1:] != shape:
        raise UsageError(
            f"the network takes images {list(shape)}, these are {list(split.images.shape[1:])}", where=predictor.name
        )
