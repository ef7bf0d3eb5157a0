"""A torch module becomes an int8 .tflite that stock TFLM runs unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from torch import nn

from exporters.collection import paused
from exporters.errors import ExportError
from exporters.execute import Batch
from exporters.fidelity import Fidelity
from exporters.flatbuffer import serialise
from exporters.forms import METADATA, Choice, choose, describe
from exporters.graph import Graph, Quantization
from exporters.quantize import Calibration, CalibrationRecord, Motion, separate
from exporters.quantize import calibrate as steps
from exporters.sharing import shared
from exporters.trace import Lowering, Shapes

PIXELS = Quantization((1 / 128,), (0,))
"""Input quantisation of a network fed with pixel / 128 - 1: the int8 input is the pixel minus 128."""

DEFAULT = Calibration()
"""Minimum and maximum, biases corrected: see docs/decisions/0080-calibration-by-measurement.md."""


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


@paused()
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
    lower = Lowering(module, input_shape)
    float_graph, choices = choose(lambda forms: separate(lower(forms), input_quantization), profile)
    _check_weights(float_graph)
    pairs = relu6 = 0
    if settings.equalisation:
        calibration = kept = list(calibration)
        before, progress = steps.halves(kept, progress)
        result = steps.equalised(float_graph, kept, before)
        float_graph, pairs, relu6 = result.graph, len(result.pairs), result.relu6
    fidelity = Fidelity(module)
    graph, motion, seen = steps.calibrate(
        float_graph, calibration, settings, input_quantization=input_quantization, progress=progress, witness=fidelity
    )
    graph = shared(graph)
    record = CalibrationRecord(**asdict(settings), examples=seen, equalised_pairs=pairs, relu6_pairs=relu6)
    notes = {**(metadata or {}), **({METADATA: describe(choices)} if choices else {}), steps.METADATA: record.encode()}
    content = serialise(graph, description=description, metadata=notes)
    return TfliteModel(content, float_graph, graph, fidelity.error, record, choices, _warnings(float_graph, motion))


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
