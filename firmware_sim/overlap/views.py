"""Tensors that can lie inside others, so that the operators between them copy bytes onto themselves.

A SLICE of rows is a run of bytes of its input, the parts of a CONCATENATION along the height are runs of its output, a
RESHAPE changes no byte. Each tensor is a view: a root, and where in it the tensor begins.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Final, NamedTuple

from firmware_sim.memory.elements import element_bytes, tensor_bytes
from firmware_sim.model import Operator, Subgraph, Tensor

_INTEGERS: Final = {"INT32": "i", "INT64": "q"}


class View(NamedTuple):
    """Where a tensor begins: `offset_bytes` behind the beginning of the tensor `root`."""

    root: int
    offset_bytes: int


CUTS: Final = "cuts"
PARTS: Final = "parts"
KINDS: Final = frozenset({CUTS, PARTS})
"""Tensors that lie inside others: slices, and what is put together. RESHAPE is not a choice."""


def views(subgraph: Subgraph, tensors: Sequence[Tensor], kinds: Collection[str] = KINDS) -> dict[int, View]:
    """The view of every tensor that is not constant, its own root where it lies in no other.

    Args:
        subgraph: operators in the order of their execution.
        tensors: its tensors with the shapes that the kernels see.
        kinds: of `KINDS`; others are tensors of their own, and copied.
    """
    inside: dict[int, View] = {}
    written = {index for operator in subgraph.operators for index in operator.outputs}.difference(subgraph.inputs)
    written = {index for index in written if not tensors[index].is_variable}
    if PARTS in kinds:
        for operator in subgraph.operators:
            for index, offset in parts(operator, tensors).items():
                if index in written:
                    inside.setdefault(index, View(operator.outputs[0], offset))
    for operator in subgraph.operators:
        start = cut(operator, tensors) if CUTS in kinds else None
        start = same_bytes(operator, tensors) if start is None else start
        if start is None or operator.outputs[0] in inside or operator.outputs[0] not in written:
            continue
        source = tensors[operator.inputs[0]]
        if source.data is None and not source.is_variable:
            inside[operator.outputs[0]] = View(source.index, start)
    return {tensor.index: resolved(tensor.index, inside) for tensor in tensors if tensor.data is None}


def resolved(index: int, inside: Mapping[int, View]) -> View:
    """The root of a tensor that lies in another one, which may lie in another one again, and where in it it begins."""
    # A part leads to a later tensor, a cut to an earlier one; no way leads back, because what is put together is no cut.
    offset = 0
    while index in inside:
        offset += inside[index].offset_bytes
        index = inside[index].root
    return View(index, offset)


def same_bytes(operator: Operator, tensors: Sequence[Tensor]) -> int | None:
    """0 for an operator whose output has the bytes of its first input."""
    if operator.is_custom or operator.op != "RESHAPE" or not operator.inputs or operator.inputs[0] < 0:
        return None
    source, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    return 0 if tensor_bytes(source) == tensor_bytes(result) else None


def cut(operator: Operator, tensors: Sequence[Tensor]) -> int | None:
    """Where in its input the output of a SLICE begins, in bytes, if it is a run of bytes there."""
    if (
        operator.is_custom
        or operator.op != "SLICE"
        or min(operator.inputs, default=-1) < 0
        or len(operator.inputs) != 3
    ):
        return None
    source, result = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    begin = _integers(tensors[operator.inputs[1]])
    if begin is None or not len(begin) == len(source.shape) == len(result.shape):
        return None
    bounds = zip(begin, result.shape, source.shape, strict=True)
    if any(not 0 <= start <= start + count <= size for start, count, size in bounds):
        return None
    # One of each axis in front, part of one, all of those behind.
    axis = next((n for n, size in enumerate(result.shape) if size != 1), len(result.shape))
    if result.shape[axis + 1 :] != source.shape[axis + 1 :]:
        return None
    strides = [prod(source.shape[n + 1 :]) for n in range(len(source.shape))]
    elements = sum(start * stride for start, stride in zip(begin, strides, strict=True))
    return elements * element_bytes(source)


def copied(operator: Operator, tensors: Sequence[Tensor]) -> int | None:
    """Where in its input the rows begin, in bytes, that a copy in a loop takes (`firmware_sim.rewrite.bands.build.COPY`)."""
    if operator.op != "DYNAMIC_UPDATE_SLICE" or len(operator.inputs) != 2:  # the operator of a file has three
        return None
    result = tensors[operator.outputs[0]]
    return operator.option("begin") * tensor_bytes(result) // result.shape[1]


def parts(operator: Operator, tensors: Sequence[Tensor]) -> dict[int, int]:
    """The inputs of a CONCATENATION that are runs of bytes of its output, with where they begin."""
    if operator.is_custom or operator.op != "CONCATENATION" or min(operator.inputs, default=-1) < 0:
        return {}
    result = tensors[operator.outputs[0]]
    axis = operator.option("axis") + (len(result.shape) if operator.option("axis") < 0 else 0)
    if not 0 <= axis < len(result.shape) or prod(result.shape[:axis]) != 1:
        return {}
    found: dict[int, int] = {}
    offset = 0
    for index in operator.inputs:
        if tensors[index].type != result.type:
            return {}
        found.setdefault(index, offset)
        offset += tensor_bytes(tensors[index])
    is_whole = offset == tensor_bytes(result) and not operator.option("fused_activation_function")
    return {index: at for index, at in found.items() if tensors[index].data is None} if is_whole else {}


def _integers(tensor: Tensor) -> tuple[int, ...] | None:
    letter = _INTEGERS.get(tensor.type)
    if letter is None or tensor.data is None or len(tensor.data) != tensor_bytes(tensor):
        return None
    return struct.unpack(f"<{tensor.elements}{letter}", tensor.data)
