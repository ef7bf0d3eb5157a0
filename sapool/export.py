"""From a checkpoint to a file for a device: what `sapool export` does, as a library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import exporters.firmware
import exporters.onnx
import exporters.onnx_int8
import exporters.tflite
import sapool
import sapool.lowering
from exporters.firmware import ArenaBudget, Interface
from exporters.onnx import OnnxModel
from exporters.onnx_int8 import Agreement
from exporters.quantize import Calibration
from exporters.tflite import DEFAULT, TfliteModel
from firmware_sim import profiles
from firmware_sim.overlap.rules import ANY, class_of
from firmware_sim.report.bands import BandsReport
from firmware_sim.report.bands.proven import proven
from firmware_sim.report.shrink import ShrinkReport
from firmware_sim.rewrite.proof import INPUTS, Comparison
from firmware_sim.rewrite.shrink import shrink
from sapool import presets
from sapool.calibration import batches
from sapool.checkpoint import Checkpoint
from sapool.data import preprocessing
from sapool.errors import UsageError
from sapool.metadata import Notes
from sapool.spec import ModelSpec, parse

Files = dict[str, bytes]


def to_tflite(
    checkpoint: Checkpoint, images: NDArray[np.uint8], *, profile: str = "host64", settings: Calibration = DEFAULT,
    progress: Callable[[int], None] | None = None,
) -> TfliteModel:  # fmt: skip
    """Int8 TFLite of a checkpoint.

    Args:
        checkpoint: a trained network.
        images: calibration images [N, H, W, C], pixels, at the network's resolution.
        profile: build of TFLM in whose arena the network is to be small; see `exporters.forms`.
        settings: how to calibrate; see `exporters.quantize.Calibration`.
        progress: called with the number of images seen so far.

    Raises:
        UsageError: the images do not have the network's resolution.
        ExportError: a layer that cannot be lowered; see `exporters.tflite.export`.
    """
    shape = _input_shape(checkpoint, images)
    notes = Notes.of(checkpoint)
    return exporters.tflite.export(
        checkpoint.model,
        shape,
        batches(images),
        settings=settings,
        profile=profile,
        description=notes.description,
        metadata=notes.metadata,
        progress=progress,
    )


def shrinks_by_default(spec: ModelSpec) -> bool:
    """Whether a network is one of the presets for small devices, for whatever images and classes, pruned or not."""

    def network(spec: ModelSpec) -> tuple[object, ...]:
        stages = spec.backbone, spec.pooling, spec.strides, spec.width, spec.placement, spec.prepool
        return *stages, spec.options, spec.replace

    return any(network(parse(preset.spec)) == network(spec) for preset in presets.all() if preset.shrink)


def shrunk(model: TfliteModel, *, profile: str | None = None, name: str = "model") -> tuple[TfliteModel, ShrinkReport]:
    """An exported model with a memory plan in which outputs overlap inputs, proven as `sapool shrink` does.

    Args:
        model: what `to_tflite` made.
        profile: build of TFLM whose kernels the plan is for; None for all kernel libraries that are known.
        name: what to call the model in messages.

    Raises:
        ModelError: TFLM refuses the model.
        InternalError: the new file computes something else in TFLM.
    """
    build = None if profile is None else profiles.get(profile)
    kernels = ANY if build is None else class_of(build)
    with Comparison(model.content, name=name, inputs=INPUTS) as comparison:
        found = shrink(model.content, kernels=kernels, profile=build, name=name)
        report = ShrinkReport(found, *comparison.attempt(found.content))
    return replace(model, content=found.content), report


def banded(
    model: TfliteModel, *, profile: str | None = None, max_extra_macs: float | None = None, form: str | None = None,
    name: str = "model", progress: Callable[[str], None] = lambda _: None,
) -> tuple[TfliteModel, BandsReport]:  # fmt: skip
    """An exported model with its early layers in bands of rows, where that takes less arena, proven as `sapool shrink` does.

    Args:
        model: what `to_tflite` made, or `exporters.tflite.export` of any network.
        profile: build of TFLM whose arena is to be small, and whose kernels the plan is for; None for all kernel libraries.
        max_extra_macs: multiply-accumulates that may be added, as a share of those that there are; None for the usual share.
        form: how bands are written, one of `firmware_sim.rewrite.bands.forms.FORMS`; None for what is right anywhere.
        name: what to call the model in messages.
        progress: told what goes on.

    Raises:
        ModelError: TFLM refuses the model.
        InternalError: the new file computes something else in TFLM.
    """
    build = None if profile is None else profiles.get(profile)
    report = proven(
        model.content, kernels=ANY if build is None else class_of(build), profile=build, max_extra_macs=max_extra_macs,
        form=form, name=name, inputs=INPUTS, progress=progress,
    )  # fmt: skip
    return replace(model, content=report.banded.shrunk.content), report


def to_firmware(checkpoint: Checkpoint, model: TfliteModel, *, profile: str | None = None) -> tuple[Files, ArenaBudget]:
    """The sources of a firmware that runs an exported checkpoint, by file name, and its arena.

    Args:
        checkpoint: the network, for its labels.
        model: what `to_tflite` made of it.
        profile: build of TFLM that the arena is for; None takes the largest arena of all builds for Cortex-M.

    Raises:
        ExportError: it is not known what arena the model needs.
    """
    arena = exporters.firmware.budget(model.content, None if profile is None else [profile])
    interface = Interface(
        title=f"sapool {sapool.__version__}: {checkpoint.spec}",
        labels=checkpoint.labels,
        input_meaning=f"The input: {preprocessing.DESCRIPTION}.",
    )
    return exporters.firmware.sources(model.content, model.graph, arena, interface), arena


def to_onnx(checkpoint: Checkpoint, images: NDArray[np.uint8], *, dynamic_batch: bool = True) -> OnnxModel:
    """ONNX of a checkpoint, compared with torch on `images` [N, H, W, C]; see `exporters.onnx.export`."""
    _input_shape(checkpoint, images)
    return exporters.onnx.export(checkpoint.model, preprocessing.to_input(images), dynamic_batch=dynamic_batch)


def to_onnx_int8(
    model: TfliteModel, images: NDArray[np.uint8], *, dynamic_batch: bool = True
) -> tuple[bytes, Agreement]:
    """The int8 graph of `to_tflite` as ONNX, and its distance from the .tflite on `images` [N, H, W, C].

    Raises:
        UsageError: a runtime is not installed.
        ExportError: the two are further apart than `exporters.onnx_int8.TOLERANCE`.
    """
    content = exporters.onnx_int8.build(model.graph, dynamic_batch=dynamic_batch)
    inputs = preprocessing.to_device(images)
    return content, exporters.onnx_int8.agreement(content, model.content, model.graph, inputs)


def _input_shape(checkpoint: Checkpoint, images: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    size = checkpoint.spec.resolution
    if images.ndim != 4 or images.shape[1:3] != (size, size):
        raise UsageError(
            f"calibration images of shape {list(images.shape[1:])} for a network of resolution {size}",
            hint="give the data set that the network was trained on with --data",
        )
    return (1, images.shape[3], size, size)
