"""Pooling layers that have no integer form, and why."""

from __future__ import annotations

from typing import NoReturn

from exporters.lower import Builder, Value, register
from sapool.pooling.gaussian import GaussianPooling
from sapool.pooling.lip_original import OriginalLocalImportancePooling
from sapool.pooling.rnnpool import RnnPooling


@register(RnnPooling)
def rnnpool(module: RnnPooling, builder: Builder, x: Value) -> NoReturn:
    raise builder.refuse(
        "rnnpool pooling cannot be exported to integer TFLite: TFLM has no operator for its recurrent cells, and each of "
        "their steps would be several operators",
        "export to ONNX, or train with another method",
    )


@register(GaussianPooling)
def gaussian(module: GaussianPooling, builder: Builder, x: Value) -> NoReturn:
    raise builder.refuse(
        "gaussian pooling cannot be exported to integer TFLite: the deviation of a window needs SQRT, which TFLM has for "
        "floats only",
        "export to ONNX, or train with another method",
    )


@register(OriginalLocalImportancePooling)
def lip_original(module: OriginalLocalImportancePooling, builder: Builder, x: Value) -> NoReturn:
    raise builder.refuse(
        "lip_original pooling cannot be exported to integer TFLite: it normalises each image by its own deviation, which "
        "needs SQRT, and TFLM has that for floats only",
        "export to ONNX, or train with the method lip",
    )
