"""Weights that the pooling layers put on pixels and maps, in integer operators, within what TFLM's kernels can do."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from exporters.lower import Builder, Value
from exporters.lower.builder import FloatArray

# exp(sigmoid(z)) = 1 + (e - 1) * sigmoid(SLOPE * z + OFFSET), within 0.055% of its value for every z.
SLOPE: Final = 1.0165
OFFSET: Final = -0.5

MOST_SHARES: Final = 511
"""Terms of a softmax. TFLM and LiteRT shift by 23 and the binary logarithm of the sum of the exponentials, and abort where
that is more than 31 (lite/kernels/internal/reference/softmax.h): equal scores of 512 terms end the program."""


def shares(builder: Builder, scores: Value) -> Value:
    """Softmax over the last axis, one term a place of the map.

    Raises:
        ExportError: more places than any scores are safe for.
    """
    if scores.shape[-1] > MOST_SHARES:
        raise builder.refuse(
            f"attention over {scores.shape[-1]} places: where they weigh alike, the int8 softmax of TFLM aborts above "
            f"{MOST_SHARES}",
            "attend to a smaller map, or in larger patches",
        )
    return builder.softmax(scores)


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
