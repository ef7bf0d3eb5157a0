"""The images that an export calibrates on: a file beside the checkpoint, written when the network is trained.

An export then needs neither the data set nor its path, and gives the same file wherever it runs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.files import write_atomic
from sapool.data.preprocessing import to_float
from sapool.errors import FileError

FILE_NAME: Final = "calibration.npy"
SAMPLES: Final = 256
_BATCH_PIXELS: Final = 1 << 17  # of all images of a batch: with more, maps do not stay in the caches
_LEAST_BATCH: Final = 8


def beside(checkpoint: str | Path) -> Path:
    """Where the calibration images of a checkpoint lie."""
    return Path(checkpoint).with_name(FILE_NAME)


def choose(images: NDArray[np.uint8], *, count: int = SAMPLES, seed: int = 0) -> NDArray[np.uint8]:
    """`count` of the images [N, H, W, 3] without repetition, the same ones for the same seed."""
    if len(images) <= count:
        return images
    return images[np.sort(np.random.default_rng(seed).choice(len(images), count, replace=False))]


def batches(images: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    """The images [N, H, W, C] as networks take them, dealt out to batches in turn: they may be sorted by class."""
    size = max(_BATCH_PIXELS // (images.shape[1] * images.shape[2]), _LEAST_BATCH)
    count = -(-len(images) // size)
    for first in range(count):
        yield to_float(images[first::count])


def save(path: str | Path, images: NDArray[np.uint8]) -> Path:
    """Write uint8 images [N, H, W, 3], whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, images, allow_pickle=False)
    return write_atomic(path, stream.getvalue())


def load(path: str | Path) -> NDArray[np.uint8]:
    """Read what `save` wrote.

    Raises:
        FileError: the file is missing, damaged, or holds something else.
    """
    try:
        images = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise FileError("no such file", where=path) from error
    except (OSError, ValueError, EOFError) as error:
        raise FileError(f"not a file of calibration images ({error})", where=path) from error
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise FileError("not a file of calibration images: uint8 [N, H, W, C] expected", where=path)
    return images
