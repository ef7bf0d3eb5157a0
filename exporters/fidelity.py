"""Does the lowered graph compute what the module computes?"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters import returned
from exporters.errors import ExportError
from exporters.evaluating import evaluating
from exporters.execute import Batch, arrays

_TOLERANCE: Final = 0.01
_LEAST_SPREAD: Final = 1e-4  # of the largest value: beyond that, single precision itself would be measured
_COMPARED: Final = 4  # examples that are compared; what is lowered wrongly shows in any


class Fidelity:
    """Holds what a float graph gives for a batch against what the module gives for its first examples.

    Attributes:
        error: rms difference over the module's standard deviation; the largest of all outputs, NaN before there was a batch.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self.error = float("nan")

    def __call__(self, batch: Batch, lowered: tuple[NDArray[np.float32], ...]) -> None:
        """Compare the outputs of the graph, [B, ...] each.

        Raises:
            ExportError: they are more than 1% apart: the graph is not the module (a forward that depends on more than its
                input).
        """
        expected = self._expected([array[:_COMPARED] for array in arrays(batch)])
        self.error = max(_relative(ours[:_COMPARED], theirs) for ours, theirs in zip(lowered, expected, strict=True))
        if not self.error <= _TOLERANCE:
            raise ExportError(
                f"the lowered graph differs from the module by {self.error:.1%} of its output's deviation",
                where=type(self._module).__name__,
                hint="the forward may depend on more than its input, or change a tensor in place (x += y) that it reads "
                "again under another name; please report it if it does not",
            )

    def _expected(self, batch: Batch) -> list[NDArray[np.float32]]:
        """The outputs of the module, maps with the channels last."""
        module = self._module
        with evaluating(module), torch.inference_mode():
            device = next((p.device for p in module.parameters()), torch.device("cpu"))
            maps = [torch.as_tensor(array).permute(0, 3, 1, 2).contiguous().to(device) for array in arrays(batch)]
            result = module(*maps)
        return [_nhwc(each) for each in returned.values(result)]


def _nhwc(result: torch.Tensor) -> NDArray[np.float32]:
    values = result.float().cpu()
    return np.asarray((values.permute(0, 2, 3, 1) if values.ndim == 4 else values).numpy())


def _relative(actual: NDArray[np.float32], expected: NDArray[np.floating]) -> float:
    expected = expected.astype(np.float64)  # squares of huge values are beyond single precision
    difference = actual.reshape(expected.shape) - expected
    spread = max(float(expected.std()), _LEAST_SPREAD * float(np.abs(expected).max()))
    return float(np.sqrt(np.mean(difference**2))) / spread if spread > 0 else float(np.abs(difference).max())
