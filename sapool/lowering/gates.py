"""Weights that the pooling layers put on pixels and maps, in integer operators: TFLM has no int8 exponential."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from exporters.lower import Builder, Value
from exporters.lower.builder import FloatArray

# exp(sigmoid(z)) = 1 + (e - 1) * sigmoid(SLOPE * z + OFFSET), within 0.055% of its value for every z.
SLOPE: Final = 1.0165
OFFSET: Final = -0.5


def exp_of_sigmoid(builder: Builder, logits: Value) -> Value:
    """exp(sigmoid(z)) from SLOPE * z + OFFSET, which the caller folds into what computes z; values in (1, e)."""
    gate = builder.unary("LOGISTIC", logits)
    channels = gate.shape[-1]
    return builder.affine(gate, np.full(channels, math.e - 1, np.float32), np.ones(channels, np.float32))


def folded(scale: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A normalisation scale * x + shift with SLOPE and OFFSET in it."""
    return (SLOPE * scale).astype(np.float32), (SLOPE * shift + OFFSET).astype(np.float32)


def product(builder: Builder, x: Value, factor: Value) -> Value:
    """x times a factor [1, H, W, C], [1, 1, 1, C] or anything else that broadcasts to it."""
    return builder.add_operator("MUL", (x.name, factor.name), x.shape, {"fused_activation_function": "NONE"})
