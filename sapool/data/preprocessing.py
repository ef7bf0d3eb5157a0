"""From pixels to what a network takes, and to what its int8 form takes on a device: stated here and nowhere else.

A network is fed with pixel / 128 - 1, in [-1, 1). An int8 tensor of scale 1/128 and zero point 0 stores that real
number as pixel - 128, so a device subtracts 128 from each byte of the camera (or flips its highest bit) and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

INPUT_SCALE: Final = 1 / 128
INPUT_ZERO_POINT: Final = 0
DESCRIPTION: Final = "pixel / 128 - 1; as int8 (scale 1/128, zero point 0): pixel - 128"


def to_float(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 pixels [..., H, W, C] as real inputs in [-1, 1), float32, in the same layout. Exact."""
    scaled = images.astype(np.float32)
    scaled *= np.float32(INPUT_SCALE)
    scaled -= np.float32(1)
    return scaled


def to_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 pixels [N, H, W, C] as the input of a network in torch or ONNX, float32 [N, C, H, W]."""
    return np.ascontiguousarray(to_float(images).transpose(0, 3, 1, 2))


def to_device(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """uint8 pixels as the int8 input of a device, in the same layout: pixel - 128."""
    centred: NDArray[np.int8] = (images ^ np.uint8(0x80)).view(np.int8)
    return centred


def to_tensor(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels [N, H, W, C] as network input [N, C, H, W], float32; the memory stays channels-last."""
    return images.permute(0, 3, 1, 2).float().mul_(INPUT_SCALE).sub_(1)
