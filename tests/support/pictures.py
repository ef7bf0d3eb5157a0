"""Small labelled pictures that a small network learns in a moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sapool.data import DataSet, Split

CLASSES = ("blue", "green", "red")
# The channel that is brightest.
_CHANNEL = {"red": 0, "green": 1, "blue": 2}


def picture(name: str, seed: int, size: int = 32) -> np.ndarray:
    """Noise in which one channel is brighter: uint8 [size, size, 3]."""
    image = np.random.default_rng((CLASSES.index(name), seed)).integers(0, 160, (size, size, 3), dtype=np.uint8)
    image[..., _CHANNEL[name]] += 70
    return image


def split(count: int, size: int = 32, start: int = 0) -> Split:
    """`count` pictures of each class."""
    images = [picture(name, start + number, size) for name in CLASSES for number in range(count)]
    return Split(np.stack(images), np.repeat(np.arange(len(CLASSES)), count), f"{count} pictures of each class")


def data_set(train: int = 20, other: int = 6, size: int = 32) -> DataSet:
    """Three parts without common pictures."""
    return DataSet("pictures", CLASSES, split(train, size), split(other, size, 1000), split(other, size, 2000), "none")


def write(folder: Path, count: int = 12, size: int = 32) -> Path:
    """`count` PNG files of each class, in class folders."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(name, number, size)).save(folder / name / f"{number:03}.png")
    return folder
