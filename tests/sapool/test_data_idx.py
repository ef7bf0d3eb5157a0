"""idx files: the pixels and labels that were written, whole files only."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

import sapool.data
from sapool.errors import FileError, SapoolError, UsageError

RNG = np.random.default_rng(0)
IMAGES = {
    "train": RNG.integers(0, 256, (40, 12, 12), dtype=np.uint8),
    "t10k": RNG.integers(0, 256, (10, 12, 12), np.uint8),
}
LABELS = {"train": np.tile([1, 3], 20).astype(np.uint8), "t10k": np.tile([3, 1], 5).astype(np.uint8)}


def idx(array):
    """As described with MNIST: zeros, 8 for bytes, dimensions, extents with the high byte first."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def written(folder, *, packed=False, **other):
    for part in ("train", "t10k"):
        for what, arrays in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            name = f"{part}-{what}-ubyte"
            content = other.get(f"{part}_{what[:6]}", idx(arrays[part]))
            if content is not None:
                (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_of_mnist(tmp_path, packed):
    data = sapool.data.open(written(tmp_path, packed=packed))
    assert data.classes == ("1", "3")
    assert (len(data.train), len(data.val), len(data.test)) == (36, 4, 10)
    assert np.array_equal(data.test.images, np.repeat(IMAGES["t10k"][..., None], 3, axis=3))
    assert data.test.labels.tolist() == [1, 0] * 5
    assert not data.flip_keeps_label
    assert data.test.origin == f"the test part of {tmp_path}"


def test_grey_and_resized(tmp_path):
    from PIL import Image

    data = sapool.data.open(written(tmp_path), resolution=8, channels=1)
    expected = np.asarray(Image.fromarray(IMAGES["t10k"][3]).resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(data.test.images[3, ..., 0], expected)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"train_images": idx(IMAGES["train"])[:-1]}, "cut off"),
        ({"train_images": idx(IMAGES["train"]) + b"x"}, "not the 5760 bytes"),
        ({"train_images": b"\x00\x00\x0d\x03" + bytes(40)}, "not an idx file of bytes"),
        ({"train_images": b"\x00\x00\x08\x03\xff"}, "no extents"),
        ({"train_images": b"\x00\x00\x08\x03" + b"\xff" * 12}, "damaged"),
        ({"train_images": b""}, "not an idx file"),
        ({"train_labels": None}, "has no labels of the train part"),
        ({"train_labels": idx(LABELS["t10k"])}, "do not belong together"),
        ({"train_images": idx(RNG.integers(0, 256, (40, 12, 10), dtype=np.uint8))}, "not square"),
        ({"train_images": idx(RNG.integers(0, 256, (40, 12, 12, 2), dtype=np.uint8))}, "2 channels"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path, other, message):
    with pytest.raises((FileError, UsageError), match=message) as caught:
        sapool.data.open(written(tmp_path, **other))
    assert str(tmp_path) in str(caught.value)


def test_a_gzip_that_is_none(tmp_path):
    written(tmp_path, packed=True)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b damaged")
    with pytest.raises(SapoolError):
        sapool.data.open(tmp_path)
