"""Opens a stored network by the ending of its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware_sim.errors import FileError, UsageError
from sapool.training.predictors import network, onnx, tflite
from sapool.training.predictors.base import Predictor

LOADERS: Final[dict[tuple[str, str], Callable[[Path], Predictor]]] = {
    (".safetensors", "torch"): network.load,
    (".onnx", "onnxruntime"): onnx.load,
    (".tflite", "litert"): tflite.load,
    (".tflite", "tflm"): lambda path: tflite.load(path, runtime="tflm"),
}
"""By ending and runtime; the first runtime of an ending is the one used if none is named."""

RUNTIMES: Final = tuple(runtime for _, runtime in LOADERS)


def load(path: str | Path, *, runtime: str | None = None) -> Predictor:
    """Open a checkpoint or an exported file.

    Args:
        path: ends in .safetensors, .onnx or .tflite.
        runtime: what runs it; None for the usual one of the kind of file.

    Raises:
        FileError: the file is missing, damaged or of no known kind.
        UsageError: the runtime does not run this kind of file, or is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    known = {key[1]: loader for key, loader in LOADERS.items() if key[0] == suffix}
    if not path.exists():
        raise FileError("no such file", where=path)
    if not known:
        endings = ", ".join(dict.fromkeys(key[0] for key in LOADERS))
        raise FileError("not a network of a known kind", where=path, hint=f"known are {endings}")
    if runtime is not None and runtime not in known:
        raise UsageError(f"{runtime} does not run {suffix} files", where=path, hint=f"{' or '.join(known)} does")
    return known[runtime or next(iter(known))](path)
