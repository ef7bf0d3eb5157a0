"""What one should know of a data set before training on it: how its classes are filled, and what occurs twice."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np

from sapool.data.dataset import PARTS, DataSet, Split

_NAMED_CLASSES: Final = 12


def balance(dataset: DataSet) -> dict[str, dict[str, int]]:
    """For each part the number of images of each class."""
    count = len(dataset.classes)
    return {
        part: dict(zip(dataset.classes, np.bincount(dataset.split(part).labels, minlength=count).tolist(), strict=True))
        for part in PARTS
    }


def balance_text(dataset: DataSet) -> str:
    """The training images of each class in a line; of the fewest and the most if there are many classes."""
    counts = balance(dataset)["train"]
    total = f"{len(dataset.train):,} training, {len(dataset.val):,} validation, {len(dataset.test):,} test images"
    if len(counts) <= _NAMED_CLASSES:
        return f"{total}; for training {', '.join(f'{name} {images:,}' for name, images in counts.items())}"
    fewest, most = (choose(counts, key=lambda name: counts[name]) for choose in (min, max))
    return (
        f"{total}; for training {counts[fewest]:,} ({fewest}) to {counts[most]:,} ({most}) in each of "
        f"{len(counts)} classes"
    )


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An image of one part whose pixels also occur in another.

    Args:
        parts: the two, in the order train, val, test.
        names: of the image in each.
        same_class: whether both say that it is the same thing.
    """

    parts: tuple[str, str]
    names: tuple[str, str]
    same_class: bool


def duplicates(dataset: DataSet) -> tuple[Duplicate, ...]:
    """Images of val and test that training has seen, and images of test that a choice was made by.

    Compared are the pixels at the resolution of the data set: two files of one picture are found if they decode to the same
    pixels, copies that were compressed anew are not.
    """
    seen = {part: _digests(dataset.split(part)) for part in PARTS}
    found = []
    for first, second in itertools.combinations(PARTS, 2):
        known: dict[bytes, int] = {}
        for position, digest in enumerate(seen[first]):
            known.setdefault(digest, position)
        one, other = dataset.split(first), dataset.split(second)
        for position, digest in enumerate(seen[second]):
            if digest in known:
                match = known[digest]
                same = bool(one.labels[match] == other.labels[position])
                found.append(Duplicate((first, second), (one.name(match), other.name(position)), same))
    return tuple(found)


def _digests(split: Split) -> list[bytes]:
    return [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in split.images]
