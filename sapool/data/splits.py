"""Parts that a source lacks are split off, class by class, the same way for the same seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import FileError
from sapool.data.dataset import Collection, DataSet, Split
from sapool.data.layout import WHOLE

VAL_SHARE: Final = 0.1
TEST_SHARE: Final = 0.2


def complete(collection: Collection, *, seed: int, test_share: float = TEST_SHARE) -> DataSet:
    """A data set with all three parts.

    A missing `test` and then a missing `val` are split off `train` (or off the whole, if it is undivided): shares of
    each class, at least one image. Parts that exist stay as they are. A source of nothing but val or test keeps its
    other parts empty: it can be evaluated on, not trained on.

    Args:
        collection: what the source holds.
        seed: of the split; the same images in the same order are split alike.
        test_share: share of the images that become `test`, 0 to 1.

    Raises:
        FileError: a class has too few images to be split.
    """
    parts = dict(collection.parts)
    undivided = WHOLE in parts
    train = parts.pop(WHOLE) if undivided else parts.pop("train", None)
    empty = next(iter(collection.parts.values())).take(np.zeros(0, np.int64), "")
    if train is None:
        return _data_set(collection, empty, parts.get("val", empty), parts.get("test", empty))
    rng = np.random.default_rng(seed)
    total = len(train)
    source = collection.name if undivided else f"the train part of {collection.name}"
    origin = train.origin
    for part, share in (("test", test_share), ("val", VAL_SHARE)):
        if part in parts:
            continue
        # Both shares are of the original number of images.
        chosen = stratified(train.labels, share * total / len(train), rng, classes=collection.classes, where=source)
        parts[part] = train.take(np.flatnonzero(chosen), f"{share:.0%} of {source}, split off with seed {seed}")
        train = train.take(np.flatnonzero(~chosen))
        origin = f"the rest of {source} (seed {seed})"
    return _data_set(collection, replace(train, origin=origin), parts["val"], parts["test"])


def stratified(
    labels: NDArray[np.int64], share: float, rng: np.random.Generator, *, classes: tuple[str, ...], where: str
) -> NDArray[np.bool_]:
    """Choose `share` of each class at random, at least one image, leaving at least one.

    Returns:
        bool [N]: which are chosen.

    Raises:
        FileError: a class has fewer than two images.
    """
    chosen = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise FileError(
                f"class {name!r} has too few images to be split into parts",
                where=where,
                hint="give at least three images a class, or parts of your own in train, val and test",
            )
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    return chosen


def _data_set(collection: Collection, train: Split, val: Split, test: Split) -> DataSet:
    return DataSet(
        name=collection.name,
        classes=collection.classes,
        train=train,
        val=val,
        test=test,
        resize=collection.resize,
        flip_keeps_label=collection.flip_keeps_label,
        skipped=collection.skipped,
    )
