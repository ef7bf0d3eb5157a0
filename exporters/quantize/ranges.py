"""The range of every tensor, observed while the float graph runs over calibration data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.execute import Batch, Finish, activate, arrays, run
from exporters.graph import Graph
from exporters.quantize.estimators import DEFAULT, Channels, Estimator, estimator
from exporters.quantize.span import Range

_LEARNT_BYTES: Final = 31 << 20

Witness = Callable[[Batch, tuple[NDArray[np.float32], ...]], None]
"""Sees examples and the outputs of a graph for them."""


@dataclass(slots=True)
class Motion:
    """Which channels of which tensors took more than one value while they were observed."""

    _spans: dict[str, tuple[Channels, Channels, int]] = field(default_factory=dict)

    def add(self, name: str, low: Channels, high: Channels, seen: int) -> None:
        """One more batch of a tensor: the extremes [C] of its channels over `seen` places."""
        if name in self._spans:
            before, after, earlier = self._spans[name]
            low, high, seen = np.minimum(low, before), np.maximum(high, after), seen + earlier
        self._spans[name] = (low, high, seen)

    def still(self) -> dict[str, tuple[int, int]]:
        """For each tensor with channels of one value: how many, and of how many. A single value tells nothing."""
        spans = ((name, low == high) for name, (low, high, seen) in self._spans.items() if seen > 1)
        return {name: (int(same.sum()), len(same)) for name, same in spans if same.any()}

    def spans(self) -> dict[str, NDArray[np.float64]]:
        """For each tensor how far each channel reaches, 0 included: the largest value minus the smallest, [C]."""
        return {
            name: (np.maximum(high, 0) - np.minimum(low, 0)).astype(np.float64)
            for name, (low, high, _) in self._spans.items()
        }


def observe(
    graph: Graph,
    batches: Iterable[Batch],
    progress: Callable[[int], None] | None = None,
    motion: Motion | None = None,
    method: str = DEFAULT,
    witness: Witness | None = None,
    finish: Finish = activate,
) -> dict[str, Range]:
    """The range of the input and of each computed tensor over all batches; that of a reshaped one is what it was before.

    Args:
        graph: a float graph.
        batches: arrays [B, H, W, C] as the network takes them; for several inputs one array each.
        progress: called after each batch with the number of examples seen so far.
        motion: learns which channels move.
        method: name of the range estimator.
        witness: called with the first batch and what the graph gives for it.
        finish: see `exporters.execute.run`.

    Raises:
        ExportError: no batch; a value that is not finite (the tensor is named).
        UsageError: there is no such estimator.
    """
    make = estimator(method)
    estimators: dict[str, Estimator] = {}
    origin = {op.outputs[0]: op.where for op in graph.operators}
    reshapes = [op for op in graph.operators if op.op == "RESHAPE" and graph.constant(op.inputs[0]) is None]
    reshaped = {op.outputs[0]: str(op.inputs[0]) for op in reshapes}

    def keep(name: str, values: torch.Tensor) -> None:
        if name in reshaped:
            return
        lows, highs = _extremes(values)
        if not (math.isfinite(lows.min()) and math.isfinite(highs.max())):
            raise ExportError(
                f"{name} takes values that are not finite",
                where=origin.get(name) or "the network's input",
                hint="look for NaN or infinite weights, or for calibration data that are not scaled as in training",
            )
        if motion is not None:
            motion.add(name, lows, highs, values.numel() // values.shape[-1])
        if name not in estimators:
            estimators[name] = make()
        estimators[name].add(values, lows, highs)

    _keep_pages()
    count = 0
    for batch in batches:
        outputs = run(graph, batch, keep, finish)
        if witness is not None and not count:
            witness(batch, outputs)
        count += len(arrays(batch)[0])
        if progress is not None:
            progress(count)
    if not count:
        raise ExportError("no calibration data", hint="give a few hundred typical inputs")
    ranges = {name: known.range() for name, known in estimators.items()}
    for name, before in reshaped.items():
        ranges[name] = ranges[before]
    return ranges


def _keep_pages() -> None:
    """Let maps lie where earlier ones were: asking the system for new pages takes as long as computing small maps.

    glibc gives back what is free unless something larger was freed before; it learns that up to 32 MiB (mallopt(3),
    M_MMAP_THRESHOLD). Other allocators do not care.
    """
    torch.empty(_LEARNT_BYTES, dtype=torch.uint8)


def _extremes(values: torch.Tensor) -> tuple[Channels, Channels]:
    """The smallest and the largest value of each channel of [B, ..., C].

    Torch reduces long rows about ten times faster than short ones, so whole rows of pixels come first; what is left is so
    little that a call of torch would take longer than the work.
    """
    channels = values.shape[-1]
    width = values.shape[-2] if values.ndim > 2 else 1
    rows = values.reshape(-1, width * channels)
    lows, highs = (extremes.numpy().reshape(-1, channels) for extremes in (rows.amin(0), rows.amax(0)))
    return lows.min(axis=0), highs.max(axis=0)
