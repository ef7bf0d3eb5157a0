"""Scales, zero points and integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from exporters.graph import Quantization
from exporters.quantize.span import Range

_SMALLEST_SCALE = 2.0**-40
# Of activations: LiteRT refuses a convolution that rescales by more than 2^30, which a tensor that is (almost) zero on all
# calibration data would ask for (lite/kernels/kernel_util.cc, no_integer_overflow_from_quantization).
_SMALLEST_ACTIVATION_SCALE = 2.0**-20
_LARGEST_BIAS = 2**30
_DOUBT = 1e-4  # in steps of the output; seven times the largest at which the two were seen to differ


def asymmetric(span: Range, scale: float | None = None) -> Quantization:
    """Scale and zero point that spread int8's 256 values over a range; zero is represented exactly.

    A `scale` that is given must be at least as coarse as the range asks for.
    """
    if scale is None:
        scale = float(np.float32(max((span.high - span.low) / 255, _SMALLEST_ACTIVATION_SCALE)))
    zero_point = max(-128, min(127, round(-128 - span.low / scale)))
    return Quantization((scale,), (zero_point,))


CURVES: Final[Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "LOGISTIC": lambda x: 256 / (1 + np.exp(-np.clip(x, -60, 60))) - 128,
    "TANH": lambda x: 128 * np.tanh(x),
}
"""What TFLM evaluates in fixed point and LiteRT's reference kernels in floating point, as integers of the output."""

SATURATED: Final = 16.0
"""Beyond it those operators give what they give for it; TFLM's fixed point ends there."""


@lru_cache(maxsize=4096)
def rounds_clearly(op: str, quantization: Quantization) -> bool:
    """Whether TFLM and LiteRT give the same integer for each of int8's 256 values in one of `CURVES`; others always do.

    They differ by up to some 1e-5 steps of the output, which shows where a result lies in the middle between two integers:
    one scale in a thousand has such a value for a sigmoid, and every power of two below 1 / 128 for a tanh, which is as good
    as linear there. And TFLM takes for saturated what is 15 / 2^e steps from zero, rounded down, of a scale below 2^e
    (lite/kernels/internal/quantization_util.cc, CalculateInputRadius): too early from 2 on, and from 8 on even zero itself.
    """
    if op not in CURVES:
        return True
    steps = np.arange(-128, 128) - quantization.zero_point[0]
    scale = np.float64(np.float32(quantization.scale[0]))
    exact = CURVES[op](steps * scale)
    radius = math.floor(math.ldexp(15, -math.frexp(scale)[1]))
    integers = np.clip(np.rint(exact), -128, 127)
    saturated = np.where(steps <= -radius, -128, np.where(steps >= radius, 127, integers))
    middle = exact - 0.5
    return bool((np.abs(middle - np.rint(middle)) > _DOUBT).all() and (integers == saturated).all())


def to_int8(values: NDArray[np.floating], quantization: Quantization) -> NDArray[np.int8]:
    """Nearest int8 values under a per-tensor quantisation, clipped."""
    real = values.astype(np.float64) / quantization.scale[0] + quantization.zero_point[0]
    return np.clip(np.rint(real), -128, 127).astype(np.int8)


def weight_and_bias(
    weight: NDArray[np.floating], bias: NDArray[np.floating], input_scale: float, dimension: int
) -> tuple[NDArray[np.int8], Quantization, NDArray[np.int32], Quantization]:
    """Symmetric int8 weights with a scale per output channel, and the int32 bias that goes with them.

    Args:
        weight: float weights; `dimension` is the axis of the output channels.
        bias: [channels].
        input_scale: scale of the input; the bias' scale is input_scale * weight scale (LiteRT's int8 specification).

    A channel whose bias would not fit into 30 bits gets a coarser weight scale: channels with (almost) no weights
    have arbitrarily fine ones otherwise.
    """
    axes = tuple(axis for axis in range(weight.ndim) if axis != dimension)
    peak = np.abs(weight).max(axis=axes).astype(np.float64)
    scale = np.maximum(peak / 127, np.abs(bias.astype(np.float64)) / (_LARGEST_BIAS * input_scale))
    scale = np.maximum(scale, _SMALLEST_SCALE).astype(np.float32).astype(np.float64)
    along = tuple(-1 if axis == dimension else 1 for axis in range(weight.ndim))
    rounded = weight / scale.reshape(along)
    np.rint(rounded, out=rounded)
    integers = np.clip(rounded, -127, 127, out=rounded).astype(np.int8)
    bias_scale = (scale * input_scale).astype(np.float32).astype(np.float64)
    offsets = np.rint(bias / bias_scale).astype(np.int64)
    offsets = np.clip(offsets, -(2**31) + 1, 2**31 - 1).astype(np.int32)
    zeros = (0,) * scale.size
    return (
        integers,
        Quantization(tuple(scale.tolist()), zeros, dimension),
        offsets,
        Quantization(tuple(bias_scale.tolist()), zeros, 0),
    )
