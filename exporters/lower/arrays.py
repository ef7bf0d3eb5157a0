"""Weights of torch modules as numpy arrays."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.lower.builder import FloatArray


def array(tensor: torch.Tensor) -> FloatArray:
    """A detached float32 copy on the host."""
    return np.asarray(tensor.detach().to("cpu", torch.float32).numpy())


def batch_norm(norm: torch.nn.Module) -> tuple[FloatArray, FloatArray]:
    """Scale and shift per channel that a batch normalisation applies in evaluation mode.

    Args:
        norm: a BatchNorm2d (or 1d) with running statistics.

    Raises:
        ValueError: it keeps no running statistics.
    """
    mean, variance = getattr(norm, "running_mean", None), getattr(norm, "running_var", None)
    if mean is None or variance is None:
        raise ValueError("a batch normalisation without running statistics")
    eps = float(getattr(norm, "eps", 1e-5))
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    # Folded in double precision: running variances of dead channels are tiny.
    scale = (1.0 if weight is None else _double(weight)) / np.sqrt(_double(variance) + eps)
    shift = (0.0 if bias is None else _double(bias)) - _double(mean) * scale
    return scale.astype(np.float32), shift.astype(np.float32)


def _double(tensor: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(tensor.detach().cpu().numpy(), np.float64)
