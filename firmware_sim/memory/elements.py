"""Bytes that TFLM gives a tensor."""

from __future__ import annotations

from firmware_sim.errors import ModelError
from firmware_sim.model import Tensor
from firmware_sim.schema import TENSOR_TYPES

ALIGNMENT_BYTES = 16
"""MicroArenaBufferAlignment (lite/micro/micro_arena_constants.h)."""


def round_up(count: int, align: int = ALIGNMENT_BYTES) -> int:
    """Smallest multiple of `align` that is at least `count`."""
    return -(-count // align) * align


def element_bytes(tensor: Tensor) -> int:
    """Bytes of one element; an int4 takes a whole byte (lite/micro/memory_helpers.cc:48-105).

    Raises:
        ModelError: TFLM knows no size for the type.
    """
    bits = TENSOR_TYPES[tensor.type].bits
    if bits is None:
        raise ModelError(f"tensor {tensor.name!r}: TensorFlow Lite Micro has no size for {tensor.type}")
    return max(bits // 8, 1)


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of the whole tensor, not rounded up.

    Raises:
        ModelError: as `element_bytes`.
    """
    return tensor.elements * element_bytes(tensor)
