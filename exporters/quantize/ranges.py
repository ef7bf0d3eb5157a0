"""The range of every tensor, observed while the float graph runs over calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from exporters.errors import ExportError
from exporters.execute import Batch, arrays, run
from exporters.graph import Graph


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value that a tensor took; always contains 0, which every int8 tensor must represent."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


@dataclass(slots=True)
class Motion:
    """Which channels of which tensors took more than one value while they were observed."""

    _spans: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = field(default_factory=dict)

    def add(self, name: str, values: torch.Tensor) -> None:
        """One more batch [B, ..., C] of a tensor."""
        rows = values.reshape(-1, values.shape[-1])
        low, high = torch.aminmax(rows, dim=0)
        seen = len(rows)
        if name in self._spans:
            before, after, earlier = self._spans[name]
            low, high, seen = torch.minimum(low, before), torch.maximum(high, after), seen + earlier
        self._spans[name] = (low, high, seen)

    def still(self) -> dict[str, tuple[int, int]]:
        """For each tensor with channels of one value: how many, and of how many. A single value tells nothing."""
        spans = ((name, low == high) for name, (low, high, seen) in self._spans.items() if seen > 1)
        return {name: (int(same.sum()), len(same)) for name, same in spans if same.any()}


def observe(
    graph: Graph,
    batches: Iterable[Batch],
    progress: Callable[[int], None] | None = None,
    motion: Motion | None = None,
) -> dict[str, Range]:
    """Minimum and maximum of the input and of each computed tensor over all batches.

    Plain min-max: the moving average that some frameworks take was nine times worse on nets of this kind.

    Args:
        graph: a float graph.
        batches: arrays [B, H, W, C] as the network takes them; for several inputs one array each.
        progress: called after each batch with the number of examples seen so far.
        motion: learns which channels move.

    Raises:
        ExportError: no batch; a value that is not finite (the tensor is named).
    """
    ranges: dict[str, Range] = {}
    origin = {op.outputs[0]: op.where for op in graph.operators}

    def keep(name: str, values: torch.Tensor) -> None:
        low, high = (float(v) for v in torch.aminmax(values))
        if not np.isfinite((low, high)).all():
            raise ExportError(
                f"{name} takes values that are not finite",
                where=origin.get(name) or "the network's input",
                hint="look for NaN or infinite weights, or for calibration data that are not scaled as in training",
            )
        if motion is not None:
            motion.add(name, values)
        seen = Range(min(low, 0.0), max(high, 0.0))
        ranges[name] = ranges[name].union(seen) if name in ranges else seen

    count = 0
    for batch in batches:
        run(graph, batch, keep)
        count += len(arrays(batch)[0])
        if progress is not None:
            progress(count)
    if not count:
        raise ExportError("no calibration data", hint="give a few hundred typical inputs")
    return ranges
