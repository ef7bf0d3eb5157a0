"""What models are fed with when two of them are compared: extremes first, then values of the whole range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from firmware_sim.model import Tensor
from firmware_sim.run.tensors import Array

TYPES: Final = ("BOOL", "FLOAT32", "INT16", "INT32", "INT64", "INT8", "UINT8")
"""Types of inputs that values are made up for."""

EXTREMES: Final = 3
"""Inputs number 0 to 2 are all lowest, all highest, all zero point."""


def feed(tensors: Sequence[Tensor], number: int) -> list[Array]:
    """Input `number` of a model: always the same values, an array for each of its input tensors."""
    random = np.random.default_rng(number)
    return [_values(tensor, number, random) for tensor in tensors]


def _values(tensor: Tensor, number: int, random: np.random.Generator) -> Array:
    """For float, random values are around [-2, 2]."""
    if tensor.type == "FLOAT32":
        if number < EXTREMES:
            return np.full(tensor.shape, (-1.0, 1.0, 0.0)[number], np.float32)
        return random.normal(size=tensor.shape).astype(np.float32)
    if tensor.type == "BOOL":
        return np.asarray(random.integers(0, 2, tensor.shape), np.bool_)
    kind = np.dtype(tensor.type.lower())
    limits = np.iinfo(kind)
    if number < EXTREMES:
        quantization = tensor.quantization
        zero = quantization.zero_point[0] if quantization and quantization.zero_point else 0
        return np.full(tensor.shape, (int(limits.min), int(limits.max), zero)[number], kind)
    return np.asarray(random.integers(limits.min, limits.max, tensor.shape, kind, endpoint=True))
