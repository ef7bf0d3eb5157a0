"""Paths become parts and classes, or an error that says what is wrong."""

from __future__ import annotations

import pytest

from sapool.data import layout
from sapool.errors import FileError


def arranged(*names, folders=()):
    images = [layout.pieces(name) for name in names]
    above = {path[:end] for path in images for end in range(1, len(path))}
    return layout.arrange(images, above | {tuple(name.split("/")) for name in folders}, where="x")


def test_class_folders():
    found = arranged("dog/1.png", "cat/1.png", "cat/2.png")
    assert found.classes == ("cat", "dog")
    assert found.places[("cat", "2.png")] == (layout.WHOLE, "cat")


def test_parts_and_their_other_names():
    found = arranged("Train/a/1.png", "Train/b/1.png", "validation/a/1.png", "testing/b/1.png")
    assert set(found.places.values()) == {("train", "a"), ("train", "b"), ("val", "a"), ("test", "b")}


@pytest.mark.parametrize("wrapper", ["", "set/", "a/b/"])
def test_folders_around_everything_do_not_matter(wrapper):
    found = arranged(f"{wrapper}train/a/1.png", f"{wrapper}train/b/1.png", folders=["docs"])
    assert found.classes == ("a", "b")
    assert set(found.places.values()) == {("train", "a"), ("train", "b")}


@pytest.mark.parametrize(
    ("names", "folders", "message"),
    [
        ([], [], "holds no images"),
        ([], ["cat"], "holds no images"),
        (["1.png", "2.png"], [], "no class folders"),
        (["train/1.png", "test/2.png"], [], "no class folders in 'test'"),
        (["cat/1.png", "dog/old/2.png"], [], "mixes layouts: cat/1.png and dog/old/2.png"),
        (["train/a/1.png", "train/b/1.png", "c/1.png"], [], "mixes layouts"),
        (["train/a/1.png", "other/b/1.png"], [], "'other' in other/b/1.png is no part"),
        (["val/a/1.png", "valid/b/1.png"], [], "both the val part"),
        (["a/1.png", "b/1.png"], ["c"], "class c has no images"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png"], ["test/b"], "class test/b has no images"),
        (["train/a/1.png", "train/b/1.png", "test/c/1.png"], [], "'c' is in test but not in train"),
        (["a/1.png", "a/2.png"], [], "one class only, 'a'"),
    ],
)
def test_what_is_wrong_is_said(names, folders, message):
    with pytest.raises(FileError, match=message):
        arranged(*names, folders=folders)


@pytest.mark.parametrize(
    "name", ["/etc/cat/1.png", "../cat/1.png", "a/../../1.png", ".git/1.png", "__MACOSX/a/1.png", ""]
)
def test_paths_that_are_ignored(name):
    assert layout.pieces(name) is None


def test_paths_are_normalised():
    assert layout.pieces("./a//b/./c.png") == ("a", "b", "c.png")
