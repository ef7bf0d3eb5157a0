"""An ONNX file in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import ModelError, UsageError
from firmware_sim.files import read_bytes
from sapool.data.preprocessing import to_input


class OnnxPredictor:
    """An ONNX classifier with one input [N, C, H, W], float32, and one output [N, classes].

    Args:
        content: the file's bytes.
        name: what to call it in messages.

    Raises:
        UsageError: onnxruntime is not installed.
        ModelError: the file cannot be read, or has other inputs and outputs.
    """

    labels: tuple[str, ...] | None = None
    split_seed: int | None = None
    runtime = "onnxruntime, float32"

    def __init__(self, content: bytes, *, name: str = "model.onnx") -> None:
        self.name = name
        self._session = _session(content, name)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
            raise ModelError("not a classifier of float images: one input and one output expected", where=name)
        shape, result = inputs[0].shape, outputs[0].shape
        if len(shape) != 4 or shape[2] != shape[3] or shape[1] not in (1, 3) or not isinstance(shape[2], int):
            raise ModelError(f"takes {shape}; [N, channels, H, H] of a fixed size expected", where=name)
        if len(result) != 2 or not isinstance(result[1], int):
            raise ModelError(f"gives {result}; [N, classes] expected", where=name)
        self._input = inputs[0].name
        # A file with a fixed batch takes the images in portions of it.
        self._batch = shape[0] if isinstance(shape[0], int) else None
        self.resolution = int(shape[2])
        self.channels = int(shape[1])
        self.classes = int(result[1])

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes]."""
        portion = self._batch or max(len(images), 1)
        return np.concatenate([self._run(images[start : start + portion]) for start in range(0, len(images), portion)])

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        count = len(images)
        if self._batch is not None and count < self._batch:
            images = np.concatenate([images, np.zeros((self._batch - count, *images.shape[1:]), np.uint8)])
        try:
            logits = self._session.run(None, {self._input: to_input(images)})[0]
        except Exception as error:
            # onnxruntime's exceptions share no base but Exception.
            raise ModelError(f"onnxruntime cannot run the model: {_first_line(error)}", where=self.name) from error
        return np.asarray(logits, dtype=np.float32)[:count]


def load(path: Path) -> OnnxPredictor:
    """An .onnx file.

    Raises:
        FileError: it cannot be read.
    """
    return OnnxPredictor(read_bytes(path), name=str(path))


def _session(content: bytes, name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime is not installed", hint="pip install 'sapool[export]'") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"not an ONNX file that can be run: {_first_line(error)}", where=name) from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
