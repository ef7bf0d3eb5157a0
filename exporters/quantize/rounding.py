"""Real numbers as the nearest ones that int8 represents, as the kernels of TFLM and LiteRT round them."""

from __future__ import annotations

from typing import Final

import torch

from exporters.graph import Quantization

_TIE: Final = 1e-3


def round_in_place(values: torch.Tensor, quantization: Quantization, *, average: bool = False) -> torch.Tensor:
    """Make each of the values [...] the nearest one that int8 represents, and return them.

    Averages of integers are often halfway between two of them, and go away from zero then (tensorflow/lite/kernels/internal/
    reference/integer_ops/pooling.h); all else goes to the nearest, half of the ties up and half down, as torch does:
    products with a scale hardly ever are ties.

    Args:
        values: float32, without a gradient.
        quantization: one scale and zero point.
        average: whether they are averages of integers of this scale.
    """
    (scale,), (zero_point,) = quantization.scale, quantization.zero_point
    # In short passes, which take a tenth of the time of torch.fake_quantize_per_tensor_affine.
    values.mul_(1 / scale)
    if average:
        integers = values + zero_point
        # Adding up in single precision leaves a tie a little to one side.
        values.copy_(torch.floor(integers.abs() + (0.5 + _TIE)).copysign_(integers)).sub_(zero_point)
    else:
        values.round_()
    return values.clamp_(-128 - zero_point, 127 - zero_point).mul_(scale)
