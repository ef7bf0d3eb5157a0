"""Finds the rule of an operator: in which steps its kernel reads its input and writes its output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from firmware_sim.errors import UsageError
from firmware_sim.model import Operator, Tensor, Tensors
from firmware_sim.overlap.windows import Windows, windows
from firmware_sim.profiles import Profile
from firmware_sim.schema import TENSOR_TYPES

Step = Literal["pixel", "row", "element", "copy", "apart"]

ANY: Final = "any"
"""The class of plans that hold for every kernel library in the table."""

# What was examined: reference kernels for these, CMSIS-NN for int8; it hands float to the reference kernels.
_TYPES: Final[Mapping[bool, tuple[str, ...]]] = {True: ("INT8", "INT16", "FLOAT32"), False: ("INT8", "FLOAT32")}
_WINDOWED: Final = ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D")


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kernel goes through its data.

    Attributes:
        step: what is read and written as one: pixels or a row of the output, an element, or everything at once. "copy" is
            a memcpy, which allows the same address or none in common, "apart" allows nothing.
        count: pixels in a step.
        inputs: the input tensors that it holds for.
        windows: the geometry, for steps of pixels and rows.
        growth_bytes: how much further than in the input the last element is in the output, for elements that get wider.
    """

    step: Step
    count: int = 1
    inputs: tuple[int, ...] = ()
    windows: Windows | None = None
    growth_bytes: int = 0


APART: Final = Rule("apart")


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("rules.json").read_text("utf-8"))
    return table


def kernel_classes() -> Mapping[str, str]:
    """Names of the kernel classes, "any" included, with what they stand for."""
    classes: Mapping[str, str] = _table()["kernels"]
    return classes


def members(kernels: str) -> tuple[str, ...]:
    """The kernel libraries that a class stands for.

    Raises:
        UsageError: there is no such class.
    """
    known = kernel_classes()
    if kernels not in known:
        raise UsageError(f"unknown kernels {kernels!r}", hint=f"known kernels: {', '.join(known)}")
    return tuple(name for name in known if name != ANY) if kernels == ANY else (kernels,)


def class_of(profile: Profile) -> str:
    """The kernel class of a build."""
    return profile.kernels if profile.isa in (None, "none") else f"{profile.kernels}-{profile.isa}"


def rules(operator: Operator, tensors: Tensors, kernels: str) -> tuple[Rule, ...]:
    """The rules that a plan has to keep at one operator: one for each library of the class, without repetition.

    Args:
        operator: the operator.
        tensors: those of its subgraph, with the shapes that the kernels see.
        kernels: a kernel class.
    """
    found = (_rule(operator, tensors, member) for member in members(kernels))
    return tuple(dict.fromkeys(found))


def _rule(operator: Operator, tensors: Tensors, library: str) -> Rule:
    if operator.is_custom or len(operator.outputs) != 1 or not operator.inputs or operator.inputs[0] < 0:
        return APART
    if operator.op in _WINDOWED:
        return _windowed(operator, tensors, library)
    if operator.op in _table()["elementwise"]:
        return _elementwise(operator, tensors, _entry("elementwise", library)["step"])
    if operator.op == "RESHAPE":
        return Rule(_entry("copy", library)["step"], inputs=operator.inputs[:1])
    return APART


def _windowed(operator: Operator, tensors: Tensors, library: str) -> Rule:
    data, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    has_weights = not operator.op.endswith("POOL_2D")
    if has_weights and (len(operator.inputs) < 2 or operator.inputs[1] < 0):
        return APART
    weights = tensors[operator.inputs[1]] if has_weights else None
    allowed = _TYPES[library == "reference"]
    if data.type not in allowed or result.type != data.type or (weights and weights.type not in allowed):
        return APART
    width = _element_bytes(data)
    geometry = windows(operator, tensors, width, width)
    if geometry is None:
        return APART
    entry = _entry(_case(operator, geometry, data, weights), library)
    if entry["step"] == "apart" or data.shape[3] > entry.get("most_channels", data.shape[3]):
        return APART
    return Rule(entry["step"], entry.get("count", 1), operator.inputs[:1], geometry)


def _case(operator: Operator, geometry: Windows, data: Tensor, weights: Tensor | None) -> str:
    if weights is None:
        return "pool"
    height, width = geometry.height, geometry.width
    if operator.op == "DEPTHWISE_CONV_2D":
        if data.shape[3] > 1:
            return "depthwise convolution"
        is_simple = height.kernel == 1 and (width.kernel == 1 or height.size == 1)
        return f"depthwise convolution of one channel{' and one row or pixel' if is_simple else ''}"
    if weights.shape[3] != data.shape[3]:
        return "convolution in groups"
    if height.kernel == width.kernel == 1:
        return "convolution 1x1" if height.stride == width.stride == 1 else "convolution 1x1 with stride"
    return "convolution of one row" if height.size == height.kernel == 1 else "convolution"


def _elementwise(operator: Operator, tensors: Tensors, step: Step) -> Rule:
    """All inputs of the shape of the output; elements may get wider where there is one input, of single bytes.

    A compiler has to take it that bytes are any other variable's, but not that an int16 is part of a float.
    """
    result = tensors[operator.outputs[0]]
    given = [tensors[index] for index in operator.inputs if index >= 0]
    widths = [_element_bytes(tensor) for tensor in (result, *given)]
    if any(tensor.shape != result.shape for tensor in given) or not all(widths):
        return APART
    growth = (result.elements - 1) * max(widths[0] - min(widths[1:]), 0)
    if growth and (len(given) > 1 or widths[1] > 1):
        return APART
    return Rule(step, inputs=tuple(tensor.index for tensor in given), growth_bytes=growth)


def _element_bytes(tensor: Tensor) -> int:
    bits = TENSOR_TYPES[tensor.type].bits
    return 0 if bits is None or bits % 8 else bits // 8


def _entry(case: str, library: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any] = _table()["cases"][case][library]
    return entry
