"""Parts that are missing are split off, class by class."""

from __future__ import annotations

import numpy as np
import pytest

from sapool.data import splits
from sapool.data.dataset import Collection, Split
from sapool.errors import FileError

CLASSES = ("a", "b")


def collection(**sizes):
    """Parts of two classes, the second half as large as the first; the first pixel numbers the image."""
    parts = {}
    for part, size in sizes.items():
        labels = np.array([0] * size + [1] * (size // 2), dtype=np.int64)
        images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
        parts["" if part == "whole" else part] = Split(images, labels, part)
    return Collection("x", CLASSES, parts, "not at all")


def numbers(split):
    return set(split.images.ravel().tolist())


def test_a_whole_is_split_in_three_class_by_class():
    data = splits.complete(collection(whole=100), seed=0)
    assert [np.bincount(part.labels).tolist() for part in (data.train, data.val, data.test)] == [
        [70, 35],
        [10, 5],
        [20, 10],
    ]
    assert numbers(data.train) | numbers(data.val) | numbers(data.test) == set(range(150))


def test_the_seed_decides():
    first, again, other = (splits.complete(collection(whole=100), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test.images, again.test.images)
    assert np.array_equal(first.val.images, again.val.images)
    assert numbers(first.test) != numbers(other.test)
    assert "seed 1" in first.test.origin


def test_parts_that_exist_stay_as_they_are():
    whole = collection(train=100, val=10, test=20)
    data = splits.complete(whole, seed=0)
    for part in ("train", "val", "test"):
        assert np.array_equal(data.split(part).images, whole.parts[part].images)


def test_val_comes_from_train_never_from_test():
    whole = collection(train=100, test=20)
    data = splits.complete(whole, seed=0)
    assert np.array_equal(data.test.images, whole.parts["test"].images)
    assert len(data.val) == 15
    assert numbers(data.train) | numbers(data.val) == numbers(whole.parts["train"])
    assert not numbers(data.train) & numbers(data.val)


def test_a_test_part_alone_can_be_evaluated_on():
    data = splits.complete(collection(test=20), seed=0)
    assert (len(data.train), len(data.val), len(data.test)) == (0, 0, 30)


def test_every_class_is_in_every_part_when_there_are_three_images():
    data = splits.complete(collection(whole=6), seed=0)
    assert all(set(data.split(part).labels) == {0, 1} for part in ("train", "val", "test"))


def test_too_few_images():
    with pytest.raises(FileError, match="class 'b' has too few images"):
        splits.complete(collection(whole=4), seed=0)
