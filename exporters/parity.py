"""Does a file give the same bytes in TensorFlow Lite Micro as in LiteRT's reference kernels?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_sim.run.litert import LiteRt
from firmware_sim.run.tflm import ArenaUse, Tflm


@dataclass(frozen=True, slots=True)
class Parity:
    """Outcome of a comparison: examples run, how many differ in at least one byte, and the arena TFLM used for it."""

    examples: int
    differing: int
    arena: ArenaUse

    @property
    def equal(self) -> bool:
        return self.differing == 0


def compare(content: bytes, *inputs: NDArray[Any]) -> Parity:
    """Run every example in both.

    Args:
        content: a .tflite file.
        inputs: for each input [B, ...] in its type; one example is given at a time.

    Raises:
        UsageError: one of the runtimes is not installed.
        ModelError: one of them refuses the file.
    """
    reference, device = LiteRt(content), Tflm(content)
    differing = 0
    for example in zip(*inputs, strict=True):
        arrays = [array[None] for array in example]
        expected, actual = reference.invoke(*arrays), device.invoke(*arrays)
        differing += not all(np.array_equal(a, b) for a, b in zip(expected, actual, strict=True))
    return Parity(len(inputs[0]), differing, device.arena)
