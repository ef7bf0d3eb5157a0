"""From a checkpoint to a file for a device: what `sapool export` does, as a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

import exporters.onnx
import exporters.tflite
from exporters.onnx import OnnxModel
from exporters.tflite import TfliteModel
from sapool.checkpoint import Checkpoint
from sapool.data import preprocessing
from sapool.errors import UsageError
from sapool.metadata import Notes

_BATCH = 64


def to_tflite(
    checkpoint: Checkpoint, images: NDArray[np.uint8], *, progress: Callable[[int], None] | None = None
) -> TfliteModel:
    """Int8 TFLite of a checkpoint.

    Args:
        checkpoint: a trained network.
        images: calibration images [N, H, W, C], pixels, at the network's resolution.
        progress: called with the number of images seen so far.

    Raises:
        UsageError: the images do not have the network's resolution.
        ExportError: a layer that cannot be lowered; see `exporters.tflite.export`.
    """
    shape = _input_shape(checkpoint, images)
    notes = Notes.of(checkpoint)
    return exporters.tflite.export(
        checkpoint.model,
        shape,
        _batches(images),
        description=notes.description,
        metadata=notes.metadata,
        progress=progress,
    )


def to_onnx(checkpoint: Checkpoint, images: NDArray[np.uint8]) -> OnnxModel:
    """ONNX of a checkpoint, compared with torch on `images` [N, H, W, C]; see `exporters.onnx.export`."""
    _input_shape(checkpoint, images)
    return exporters.onnx.export(checkpoint.model, preprocessing.to_input(images))


def _input_shape(checkpoint: Checkpoint, images: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    size = checkpoint.spec.resolution
    if images.ndim != 4 or images.shape[1:3] != (size, size):
        raise UsageError(
            f"calibration images of shape {list(images.shape[1:])} for a network of resolution {size}",
            hint="give the data set that the network was trained on with --data",
        )
    return (1, images.shape[3], size, size)


def _batches(images: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(images), _BATCH):
        yield preprocessing.to_float(images[start : start + _BATCH])
