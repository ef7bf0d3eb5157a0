"""The tensors that go into a model and come out, and the check that arrays fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware_sim.errors import UsageError

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and element type of one input or output."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def zeros(self) -> Array:
        """An array of zeros that fits."""
        return np.zeros(self.shape, self.dtype)


def check(arrays: Sequence[Array], specs: Sequence[TensorSpec]) -> None:
    """Compare `arrays` with the inputs of a model.

    Raises:
        UsageError: their number, a shape or an element type differs.
    """
    if len(arrays) != len(specs):
        raise UsageError(f"the model has {len(specs)} inputs, {len(arrays)} arrays were given")
    for index, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
        if tuple(array.shape) != spec.shape or array.dtype != spec.dtype:
            raise UsageError(
                f"input {index} takes {spec.dtype} of shape {list(spec.shape)}, "
                f"given was {array.dtype} of shape {list(array.shape)}"
            )
