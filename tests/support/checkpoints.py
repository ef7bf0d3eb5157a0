"""Checkpoints of networks that nobody trained, as a training leaves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sapool import calibration, checkpoint, models
from sapool.spec import ModelSpec


def saved(folder: Path, spec: ModelSpec, examples: int = 8) -> Path:
    """The checkpoint of a network with random weights, and random images beside it to calibrate with."""
    path = folder / "model.safetensors"
    torch.manual_seed(0)
    checkpoint.save(path, models.build(spec), spec, labels=tuple("abcdefghij"[: spec.classes]))
    shape = examples, spec.resolution, spec.resolution, spec.channels
    calibration.save(calibration.beside(path), np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8))
    return path
