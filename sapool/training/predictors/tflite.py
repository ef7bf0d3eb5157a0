"""A .tflite file in LiteRT (reference kernels) or in TFLM."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_sim import model as tflite
from firmware_sim.errors import ModelError, UsageError
from firmware_sim.files import read_bytes
from firmware_sim.run.tensors import Array
from sapool import metadata
from sapool.data.preprocessing import to_float


class _Runner(Protocol):
    def invoke(self, *arrays: Array) -> tuple[Array, ...]: ...


class TflitePredictor:
    """A classifier of one image at a time: input [1, H, H, C], output [1, classes], each int8, uint8 or float32.

    Args:
        content: the file's bytes.
        runtime: "litert" for LiteRT with its reference kernels, "tflm" for TensorFlow Lite Micro.
        name: what to call it in messages.

    Raises:
        UsageError: the runtime is not installed.
        ModelError: the file is damaged, refused by the runtime, or no classifier of images.
    """

    def __init__(
        self, content: bytes, *, runtime: Literal["litert", "tflm"] = "litert", name: str = "model.tflite"
    ) -> None:
        parsed = tflite.read(content, name=name)
        graph = parsed.subgraphs[0]
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError("not a classifier: one input and one output expected", where=name)
        self._source, self._result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
        shape = self._source.shape
        if len(shape) != 4 or shape[0] != 1 or shape[1] != shape[2] or shape[3] not in (1, 3):
            raise ModelError(f"takes {list(shape)}; [1, H, H, channels] expected", where=name)
        # Our exports end in a convolution, [1, 1, 1, classes]; other converters flatten it.
        if len(self._result.shape) < 2 or any(extent != 1 for extent in self._result.shape[:-1]):
            raise ModelError(
                f"gives {list(self._result.shape)}; [1, classes] or [1, 1, 1, classes] expected", where=name
            )
        for tensor in (self._source, self._result):
            _check_type(tensor, name)
        self.name = name
        self.resolution, self.channels = shape[1], shape[3]
        self.classes = self._result.shape[-1]
        notes = metadata.decode(parsed)
        seed = notes.get("split_seed")
        self.labels = _labels(notes)
        self.split_seed: int | None = seed if isinstance(seed, int) else None
        self._runner, words = _runner(content, runtime, name)
        self.runtime = f"{words}, {self._source.type.lower()}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Logits [N, classes], dequantised."""
        inputs = _quantized(to_float(images), self._source)
        raw = np.concatenate([self._runner.invoke(inputs[i : i + 1])[0] for i in range(len(inputs))])
        return _dequantized(raw.reshape(len(inputs), self.classes), self._result)


def load(path: Path, *, runtime: Literal["litert", "tflm"] = "litert") -> TflitePredictor:
    """A .tflite file.

    Raises:
        FileError: it cannot be read.
    """
    return TflitePredictor(read_bytes(path), runtime=runtime, name=str(path))


def _runner(content: bytes, runtime: str, name: str) -> tuple[_Runner, str]:
    if runtime == "litert":
        from firmware_sim.run.litert import LiteRt

        return LiteRt(content, name=name), "LiteRT reference kernels"
    if runtime == "tflm":
        from firmware_sim.run import tflm

        # TFLM can end the process on a file it does not like; another process finds out.
        words = tflm.refused(content)
        if words is not None:
            raise ModelError(f"TFLM refuses the model: {words}", where=name)
        return tflm.Tflm(content, name=name), "TFLM"
    raise UsageError(f"no runtime is called {runtime!r}", hint="runtimes are litert and tflm")


def _check_type(tensor: tflite.Tensor, name: str) -> None:
    if tensor.type == "FLOAT32":
        return
    if tensor.type not in ("INT8", "UINT8"):
        raise ModelError(f"{tensor.name!r} is {tensor.type}; int8, uint8 or float32 expected", where=name)
    if tensor.quantization is None or len(tensor.quantization.scale) != 1:
        raise ModelError(f"{tensor.name!r} has no scale and zero point", where=name)


def _quantized(values: NDArray[np.float32], tensor: tflite.Tensor) -> Array:
    """Real inputs as the tensor stores them. For scale 1/128 and zero point 0 this is the pixel minus 128, exactly."""
    if tensor.quantization is None or tensor.type == "FLOAT32":
        return values
    limits = np.iinfo(tensor.type.lower())
    scaled = np.rint(values / tensor.quantization.scale[0]) + tensor.quantization.zero_point[0]
    stored: Array = scaled.clip(limits.min, limits.max).astype(limits.dtype)
    return stored


def _dequantized(stored: Array, tensor: tflite.Tensor) -> NDArray[np.float64]:
    if tensor.quantization is None or tensor.type == "FLOAT32":
        return stored.astype(np.float64)
    return (stored.astype(np.float64) - tensor.quantization.zero_point[0]) * tensor.quantization.scale[0]


def _labels(notes: dict[str, Any]) -> tuple[str, ...] | None:
    labels = notes.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return None
    return tuple(labels)
