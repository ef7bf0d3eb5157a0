"""Measures how well a classifier does, whatever runs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import ModelError, UsageError
from sapool.data import Split
from sapool.data.preprocessing import DESCRIPTION
from sapool.training.predictors.base import Predictor
from sapool.training.statistics import wilson_interval

SCHEMA = "sapool.evaluation/1"


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The answers of a classifier on one part of a data set.

    Args:
        classes: names, in the order of the rows and columns of `confusion`.
        confusion: int64 [K, K]; entry [i, j] counts images of class i that were taken for class j.
        origin: where the images come from, in words.
        runtime: what ran the network, in words.
        seconds: time of all answers.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    origin: str
    runtime: str
    seconds: float

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Number of images whose highest logit is that of their class."""
        return int(np.trace(self.confusion))

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
        rows = self.confusion.sum(axis=1)
        return tuple(int(self.confusion[i, i]) / int(n) if n else None for i, n in enumerate(rows))

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "schema": SCHEMA,
            "data": self.origin,
            "runtime": self.runtime,
            "preprocessing": DESCRIPTION,
            "images": self.images,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.interval),
            "classes": [
                {"name": name, "images": int(row.sum()), "accuracy": share}
                for name, row, share in zip(self.classes, self.confusion, self.per_class, strict=True)
            ],
            "confusion": self.confusion.tolist(),
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
    count = len(classes)
    confusion = np.zeros((count, count), dtype=np.int64)
    started = time.perf_counter()
    for start in range(0, len(split), batch_size):
        logits = predictor(split.images[start : start + batch_size])
        if not np.isfinite(logits).all():
            raise ModelError("the network gives logits that are not finite numbers", where=predictor.name)
        np.add.at(confusion, (split.labels[start : start + batch_size], logits.argmax(axis=1)), 1)
        if progress is not None:
            done = min(start + batch_size, len(split))
            progress(done, done / len(split))
    return Evaluation(classes, confusion, split.origin, predictor.runtime, time.perf_counter() - started)


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
