"""A torch module becomes an int8 .tflite that stock TFLM runs unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters.errors import ExportError
from exporters.execute import Batch, arrays, run
from exporters.flatbuffer import serialise
from exporters.forms import METADATA, Choice, choose, describe
from exporters.graph import Graph, Quantization
from exporters.quantize import Calibration, CalibrationRecord, Motion, separate
from exporters.quantize import calibrate as steps
from exporters.trace import Shapes, lowering

PIXELS = Quantization((1 / 128,), (0,))
"""Input quantisation of a network fed with pixel / 128 - 1: the int8 input is the pixel minus 128."""

DEFAULT = Calibration()
"""Minimum and maximum, biases corrected: see docs/decisions/0080-calibration-by-measurement.md."""

_TOLERANCE = 0.01
_COMPARED = 8  # examples that graph and module both run; what is lowered wrongly shows in any


@dataclass(frozen=True, slots=True)
class TfliteModel:
    """An exported model: the file's bytes, the graphs behind it, and how far they are from the module.

    `lowering_error` is rms(lowered float graph - module) / std(module) on a few calibration examples; it is what the
    lowering approximates (nothing for plain networks), before any quantisation. `choices` are the forms that were taken
    for layers with several; `warnings` is what may be wrong with the network or the data, a line each; `calibration` says
    how the integers came about. `float_graph` has equalised weights if they were equalised.
    """

    content: bytes
    float_graph: Graph
    graph: Graph
    lowering_error: float
    calibration: CalibrationRecord
    choices: tuple[Choice, ...] = ()
    warnings: tuple[str, ...] = ()


def export(
    module: nn.Module,
    input_shape: Shapes,
    calibration: Iterable[Batch],
    *,
    settings: Calibration = DEFAULT,
    input_quantization: Quantization | None = PIXELS,
    profile: str = "host64",
    description: str = "",
    metadata: Mapping[str, bytes] | None = None,
    progress: Callable[[int], None] | None = None,
) -> TfliteModel:
    """Trace, lower, quantise and serialise `module`.

    Args:
        module: a network that takes a map (or several) and returns a tensor (or several).
        input_shape: [1, C, H, W], or one such shape for each input.
        calibration: batches [B, H, W, C], float32, as the network takes them (NHWC, already scaled), or tuples of such
            arrays for several inputs; a few hundred typical inputs in all.
        settings: how ranges follow from them, and which of the optional steps are taken.
        input_quantization: scale and zero point of the inputs; None derives them from the calibration data.
        profile: build of TFLM in whose arena the network is to be small, where a layer has several integer forms.
        description: text for the file's description.
        metadata: further metadata entries of the file.
        progress: called with the number of calibration examples seen so far.

    Raises:
        ExportError: what cannot be lowered or quantised, with the module's path and what to use instead; also when the
            lowered graph does not compute what the module computes.
    """
    lower = lowering(module, input_shape)
    float_graph, choices = choose(lambda forms: separate(lower(forms), input_quantization), profile)
    _check_weights(float_graph)
    batches = iter(calibration)
    first = next(batches, None)
    if first is None:
        raise ExportError("no calibration data", hint="give a few hundred typical inputs")
    chained: Iterable[Batch] = _chain(first, batches)
    pairs = relu6 = 0
    if settings.equalisation:
        chained = kept = list(chained)
        before, progress = steps.halves(kept, progress)
        result = steps.equalised(float_graph, kept, before)
        float_graph, pairs, relu6 = result.graph, len(result.pairs), result.relu6
    error = _lowering_error(module, float_graph, [array[:_COMPARED] for array in arrays(first)])
    graph, motion, seen = steps.calibrate(
        float_graph, chained, settings, input_quantization=input_quantization, progress=progress
    )
    record = CalibrationRecord(**asdict(settings), examples=seen, equalised_pairs=pairs, relu6_pairs=relu6)
    notes = {**(metadata or {}), **({METADATA: describe(choices)} if choices else {}), steps.METADATA: record.encode()}
    content = serialise(graph, description=description, metadata=notes)
    return TfliteModel(content, float_graph, graph, error, record, choices, _warnings(float_graph, motion))


def _check_weights(graph: Graph) -> None:
    """Refuse weights that are no numbers, before they show as a difference somewhere else."""
    places = graph.owners()
    for name, tensor in graph.tensors.items():
        if tensor.data is not None and not np.isfinite(tensor.data).all():
            raise ExportError(
                "a weight is NaN or infinite",
                where=places.get(name) or "the network",
                hint="train again, or load another checkpoint",
            )


def _warnings(graph: Graph, motion: Motion) -> tuple[str, ...]:
    """Channels that have one value whatever the input is: dead ones, or calibration data that are too much alike."""
    places = graph.owners()
    return tuple(
        f"{places.get(name) or 'the input'}: {still} of {total} channels never moved on the calibration data ({name})"
        for name, (still, total) in motion.still().items()
    )


def _chain(first: Batch, rest: Iterator[Batch]) -> Iterator[Batch]:
    yield first
    yield from rest


def _lowering_error(module: nn.Module, graph: Graph, batch: Batch) -> float:
    """rms difference between graph and module over the module's standard deviation; the largest of all outputs.

    Raises:
        ExportError: it is above 1%: the graph is not the module (a forward that depends on more than its input).
    """
    lowered = run(graph, batch)
    training = module.training
    module.eval()
    try:
        with torch.inference_mode():
            device = next((p.device for p in module.parameters()), torch.device("cpu"))
            maps = [torch.as_tensor(array).permute(0, 3, 1, 2).contiguous().to(device) for array in arrays(batch)]
            result = module(*maps)
    finally:
        module.train(training)
    results = list(result.values()) if isinstance(result, dict) else result
    results = results if isinstance(results, (tuple, list)) else [results]
    error = max(_relative(ours, _nhwc(theirs)) for ours, theirs in zip(lowered, results, strict=True))
    if not error <= _TOLERANCE:
        raise ExportError(
            f"the lowered graph differs from the module by {error:.1%} of its output's deviation",
            where=type(module).__name__,
            hint="the forward may depend on more than its input, or change a tensor in place (x += y) that it reads again "
            "under another name; please report it if it does not",
        )
    return error


def _nhwc(result: torch.Tensor) -> NDArray[np.float32]:
    values = result.float().cpu()
    return np.asarray((values.permute(0, 2, 3, 1) if values.ndim == 4 else values).numpy())


def _relative(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    difference = actual.reshape(expected.shape) - expected
    spread = float(expected.std())
    return float(np.sqrt(np.mean(difference**2))) / spread if spread > 0 else float(np.abs(difference).max())
