"""Convolutional networks from PyTorch to microcontrollers, with the SRAM price known to the byte.

    import sapool

    net = sapool.build(sapool.parse("mobilenet_v2-self_attentive-1221121:width=0.35"))
    report = sapool.memreport(sapool.read("model.tflite"), profile="host64")

Everything here is loaded when it is first used: `import sapool` imports neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from firmware_sim import memreport
    from firmware_sim.model import read
    from sapool.checkpoint import Checkpoint, load, save
    from sapool.errors import BudgetExceeded, FileError, InternalError, ModelError, SapoolError, UsageError
    from sapool.export import to_onnx, to_tflite
    from sapool.models import build
    from sapool.spec import ModelSpec, parse
    from sapool.weights import LoadedWeights, load_weights

__all__ = [
    "BudgetExceeded",
    "Checkpoint",
    "FileError",
    "InternalError",
    "LoadedWeights",
    "ModelError",
    "ModelSpec",
    "SapoolError",
    "UsageError",
    "build",
    "load",
    "load_weights",
    "memreport",
    "parse",
    "read",
    "save",
    "to_onnx",
    "to_tflite",
]

_HOMES = {
    "firmware_sim": ("memreport",),
    "firmware_sim.model": ("read",),
    "sapool.checkpoint": ("Checkpoint", "load", "save"),
    "sapool.errors": ("BudgetExceeded", "FileError", "InternalError", "ModelError", "SapoolError", "UsageError"),
    "sapool.export": ("to_onnx", "to_tflite"),
    "sapool.models": ("build",),
    "sapool.spec": ("ModelSpec", "parse"),
    "sapool.weights": ("LoadedWeights", "load_weights"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'sapool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
