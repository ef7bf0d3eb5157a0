"""The range of every tensor, observed while the float graph runs over calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.execute import Batch, arrays, run
from exporters.graph import Graph
from exporters.quantize.estimators import DEFAULT, Estimator, estimator
from exporters.quantize.span import Range


@dataclass(slots=True)
class Motion:
    """Which channels of which tensors took more than one value while they were observed."""

    _spans: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = field(default_factory=dict)

    def add(self, name: str, low: torch.Tensor, high: torch.Tensor, seen: int) -> None:
        """One more batch of a tensor: the extremes [C] of its channels over `seen` places."""
        if name in self._spans:
            before, after, earlier = self._spans[name]
            low, high, seen = torch.minimum(low, before), torch.maximum(high, after), seen + earlier
        self._spans[name] = (low, high, seen)

    def still(self) -> dict[str, tuple[int, int]]:
        """For each tensor with channels of one value: how many, and of how many. A single value tells nothing."""
        spans = ((name, low == high) for name, (low, high, seen) in self._spans.items() if seen > 1)
        return {name: (int(same.sum()), len(same)) for name, same in spans if same.any()}

    def spans(self) -> dict[str, NDArray[np.float64]]:
        """For each tensor how far each channel reaches, 0 included: the largest value minus the smallest, [C]."""
        return {
            name: (high.clamp(min=0) - low.clamp(max=0)).double().numpy()
            for name, (low, high, _) in self._spans.items()
        }


@dataclass(slots=True)
class Means:
    """The mean map of the tensors in `wanted`."""

    wanted: frozenset[str]
    _sums: dict[str, tuple[torch.Tensor, int]] = field(default_factory=dict)

    def add(self, name: str, values: torch.Tensor) -> None:
        """One more batch [B, ...] of a tensor."""
        if name not in self.wanted:
            return
        # Exact enough within a batch, and ten times faster than adding up in double precision.
        total, count = values.sum(dim=0).double(), len(values)
        if name in self._sums:
            total, count = total + self._sums[name][0], count + self._sums[name][1]
        self._sums[name] = (total, count)

    def mean(self, name: str) -> NDArray[np.float32]:
        """The mean over all examples, [1, ...]."""
        total, count = self._sums[name]
        return np.asarray((total / count).float().unsqueeze(0).numpy())


def observe(
    graph: Graph,
    batches: Iterable[Batch],
    progress: Callable[[int], None] | None = None,
    motion: Motion | None = None,
    means: Means | None = None,
    method: str = DEFAULT,
) -> dict[str, Range]:
    """The range of the input and of each computed tensor over all batches.

    Args:
        graph: a float graph.
        batches: arrays [B, H, W, C] as the network takes them; for several inputs one array each.
        progress: called after each batch with the number of examples seen so far.
        motion: learns which channels move.
        means: learns the mean maps.
        method: name of the range estimator.

    Raises:
        ExportError: no batch; a value that is not finite (the tensor is named).
        UsageError: there is no such estimator.
    """
    make = estimator(method)
    estimators: dict[str, Estimator] = {}
    origin = {op.outputs[0]: op.where for op in graph.operators}

    def keep(name: str, values: torch.Tensor) -> None:
        lows, highs = _extremes(values)
        low, high = float(lows.min()), float(highs.max())
        if not np.isfinite((low, high)).all():
            raise ExportError(
                f"{name} takes values that are not finite",
                where=origin.get(name) or "the network's input",
                hint="look for NaN or infinite weights, or for calibration data that are not scaled as in training",
            )
        if motion is not None:
            motion.add(name, lows, highs, values.numel() // values.shape[-1])
        if means is not None:
            means.add(name, values)
        if name not in estimators:
            estimators[name] = make()
        estimators[name].add(values, low, high)

    count = 0
    for batch in batches:
        run(graph, batch, keep)
        count += len(arrays(batch)[0])
        if progress is not None:
            progress(count)
    if not count:
        raise ExportError("no calibration data", hint="give a few hundred typical inputs")
    return {name: known.range() for name, known in estimators.items()}


def _extremes(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The smallest and the largest value of each channel of [B, ..., C].

    Torch reduces long rows about ten times faster than short ones, so whole rows of pixels come first.
    """
    channels = values.shape[-1]
    width = values.shape[-2] if values.ndim > 2 else 1
    rows = values.reshape(-1, width * channels)
    return rows.amin(0).reshape(-1, channels).amin(0), rows.amax(0).reshape(-1, channels).amax(0)
