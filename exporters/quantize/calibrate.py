"""How a float graph becomes integers: which ranges, and which of the optional steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from exporters.execute import Batch, activate, arrays
from exporters.graph import Graph, Quantization
from exporters.quantize.convert import quantize
from exporters.quantize.correct import Reference, correct_bias
from exporters.quantize.equalise import Equalised, equalise
from exporters.quantize.estimators import DEFAULT, estimator
from exporters.quantize.ranges import Motion, Witness, observe

METADATA: Final = "sapool.calibration/1"
"""Name of the metadata entry of a .tflite that says how it was calibrated."""

_RECORD_BYTES: Final = 160

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How to calibrate.

    Attributes:
        method: name of the range estimator; see `exporters.quantize.estimators`.
        bias_correction: whether biases make up for what int8 does to mean outputs.
        equalisation: whether channels in front of depthwise convolutions are scaled alike, where that is exact.
    """

    method: str = DEFAULT
    bias_correction: bool = True
    equalisation: bool = False

    def __post_init__(self) -> None:
        estimator(self.method)  # an unknown one is told before anything is computed


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """What was done: the choices, the number of examples, the pairs that were equalised or stopped by a RELU6."""

    method: str
    bias_correction: bool
    equalisation: bool
    examples: int
    equalised_pairs: int = 0
    relu6_pairs: int = 0

    def encode(self) -> bytes:
        """As the content of the metadata entry: JSON with spaces behind it, so that the size of a file does not depend on
        how many examples there were."""
        content = json.dumps(asdict(self), sort_keys=True).encode("utf-8")
        return content.ljust(-(-len(content) // _RECORD_BYTES) * _RECORD_BYTES)


def equalised(graph: Graph, batches: Sequence[Batch], progress: Progress | None = None) -> Equalised:
    """A float graph with equalised channels; the spans are those of these examples."""
    motion = Motion()
    observe(graph, batches, progress, motion)
    return equalise(graph, motion.spans())


def calibrate(
    graph: Graph,
    batches: Iterable[Batch],
    calibration: Calibration,
    *,
    input_quantization: Quantization | None = None,
    progress: Progress | None = None,
    witness: Witness | None = None,
) -> tuple[Graph, Motion, int]:
    """The int8 form of a float graph, which channels moved, and the number of examples.

    Args:
        graph: float graph, equalised if that is wanted.
        batches: arrays [B, H, W, C] as the network takes them; for several inputs one array each.
        calibration: range estimator and bias correction.
        input_quantization: see `quantize`.
        progress: called after each batch with the number of examples seen so far.
        witness: called with the first batch and what the graph gives for it.

    Raises:
        ExportError: see `observe` and `quantize`.
    """
    motion = Motion()
    reference = Reference() if calibration.bias_correction else None
    examples = 0

    def count(done: int) -> None:
        nonlocal examples
        examples = done
        if progress is not None:
            progress(done)

    if reference is not None:
        batches = reference.watch(batches)
    finish = activate if reference is None else reference.finish
    ranges = observe(graph, batches, count, motion, calibration.method, witness, finish)
    quantised = quantize(graph, ranges, input_quantization=input_quantization)
    return quantised if reference is None else correct_bias(graph, quantised, reference), motion, examples


def halves(batches: Sequence[Batch], progress: Progress | None) -> tuple[Progress | None, Progress | None]:
    """Progress for two passes over the same examples, so that they count as one."""
    if progress is None:
        return None, None
    total = sum(len(arrays(batch)[0]) for batch in batches)
    return lambda done: progress(done // 2), lambda done: progress((total + done) // 2)
