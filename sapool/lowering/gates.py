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


def exponential(builder: Builder, gate: Value) -> Value:
    """exp(sigmoid(z)) from gate = sigmoid(SLOPE * z + OFFSET); values in (1, e)."""
    channels = gate.shape[-1]
    scale, shift = np.full(channels, math.e - 1, np.float32), np.ones(channels, np.float32)
    return builder.affine(gate, scale, shift, fixed=True)


def folded(scale: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A normalisation scale * x + shift with SLOPE and OFFSET in it."""
    return (SLOPE * scale).astype(np.float32), (SLOPE * shift + OFFSET).astype(np.float32)


def side_by_side(builder: Builder, x: Value, size: int) -> Value:
    """The pixels of each window of size x size, channel by channel: [1, H/size, W/size, C * size^2].

    A depthwise convolution with size^2 kernels a channel that each pick one pixel: SPACE_TO_DEPTH and TRANSPOSE in one
    operator, without the copy of the transpose.
    """
    count = size * size
    kernel = np.tile(np.eye(count, dtype=np.float32), (x.shape[3], 1)).reshape(-1, 1, size, size)
    return builder.conv(x, kernel, None, stride=(size, size), groups=x.shape[3], fixed=True)


def weigh_windows(builder: Builder, pixels: Value, scores: Value, size: int) -> Value:
    """The mean of each window [1, H/size, W/size, C] under the softmax of its scores; both lie `side_by_side`."""
    count = size * size
    channels = pixels.shape[3] // count
    weights = builder.softmax(builder.reshape(scores, (1, math.prod(scores.shape) // count, count)))
    weighted = builder.elementwise("MUL", pixels, builder.reshape(weights, pixels.shape))
    # One group a channel adds up the window.
    return builder.conv(weighted, np.ones((channels, count, 1, 1), np.float32), None, groups=channels, fixed=True)
