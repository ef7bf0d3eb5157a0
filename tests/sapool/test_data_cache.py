"""The cache: the same data set, decoded once, whatever happens to its files."""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from support import pictures

import sapool.data
from sapool.data import PARTS, cache, collect
from sapool.data.fingerprint import fingerprint


@pytest.fixture
def folder(tmp_path):
    return pictures.write(tmp_path / "data")


@pytest.fixture
def decoded(monkeypatch):
    """The number of images that have been decoded."""
    calls = []
    inner = collect.decode
    monkeypatch.setattr(collect, "decode", lambda *args: calls.append(1) or inner(*args))
    return calls


def same(first, second):
    return fingerprint(first) == fingerprint(second) and all(
        first.split(part).origin == second.split(part).origin and first.split(part).names == second.split(part).names
        for part in PARTS
    )


def test_the_second_time_nothing_is_decoded(folder, tmp_path, decoded):
    seen = []
    plain = sapool.data.open(folder, seed=1)
    first = sapool.data.open(folder, seed=1, cache_folder=tmp_path / "cache")
    count = len(decoded)
    again = sapool.data.open(folder, seed=1, cache_folder=tmp_path / "cache", progress=lambda *now: seen.append(now))
    assert len(decoded) == count == 72
    assert same(plain, first)
    assert same(plain, again)
    assert isinstance(again.train.images, np.memmap)
    assert seen == [(36, 1.0)]
    assert len(os.listdir(tmp_path / "cache")) == 1


def test_the_key_is_the_content(folder, tmp_path, decoded):
    def opened(**settings):
        return sapool.data.open(folder, **{"seed": 1, **settings}, cache_folder=tmp_path / "cache")

    opened()
    for change in ({"seed": 2}, {"resolution": 16}, {"channels": 1}, {"on_broken": "skip"}):
        before = len(decoded)
        opened(**change)
        assert len(decoded) == before + 36
    Image.fromarray(pictures.picture("red", 999)).save(folder / "red" / "000.png")
    # Neither times nor sizes count.
    os.utime(folder / "red" / "000.png", (0, 0))
    before = len(decoded)
    changed = opened()
    assert len(decoded) == before + 36
    assert any(np.array_equal(image, pictures.picture("red", 999)) for image in changed.train.images) or any(
        np.array_equal(image, pictures.picture("red", 999)) for image in (*changed.val.images, *changed.test.images)
    )
    shutil.copytree(folder, tmp_path / "copy")
    os.utime(folder / "red" / "000.png")
    before = len(decoded)
    opened()
    assert len(decoded) == before


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "index.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damage_is_noticed_and_repaired(folder, tmp_path, decoded, name, damage):
    whole = sapool.data.open(folder)
    sapool.data.open(folder, cache_folder=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    content = (entry / name).read_bytes()
    if damage == "gone":
        (entry / name).unlink()
    else:
        last = bytes((content[-1] ^ 1,))
        (entry / name).write_bytes(content[:-100] if damage == "cut" else content[:-1] + last)
    before = len(decoded)
    assert same(sapool.data.open(folder, cache_folder=tmp_path / "cache"), whole)
    assert len(decoded) == before + 36
    assert same(sapool.data.open(folder, cache_folder=tmp_path / "cache"), whole)
    assert len(decoded) == before + 36


def test_a_folder_that_cannot_be_written_is_no_error(folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert len(sapool.data.open(folder, cache_folder=tmp_path / "cache").train) == 27


def test_leftovers_of_killed_writers_go(folder, tmp_path):
    old, young = (tmp_path / "cache" / f".{name}.tmp" for name in ("old", "young"))
    for leftover in (old, young):
        leftover.mkdir(parents=True)
    long_ago = time.time() - 7200
    os.utime(old, (long_ago, long_ago))
    sapool.data.open(folder, cache_folder=tmp_path / "cache")
    assert not old.exists()
    assert young.exists()


def test_writing_to_cached_pixels_changes_no_file(folder, tmp_path):
    first = sapool.data.open(folder, cache_folder=tmp_path / "cache")
    before = fingerprint(first)
    first.train.images[:] = 0
    assert fingerprint(sapool.data.open(folder, cache_folder=tmp_path / "cache")) == before


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("SAPOOL_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path
    monkeypatch.delenv("SAPOOL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "sapool"
