"""Makes the int8 tensor that a model quantises its input to the input itself. This changes the interface: only on request.

A float32 input takes four times the bytes of its int8 copy, and TFLM keeps the whole of it until the copy is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from firmware_sim.errors import ModelError
from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.draft import Draft, DraftGraph, finish, open_draft
from firmware_sim.rewrite.records import Record
from firmware_sim.run.tensors import Array

_UINT8_SHIFT: Final = 128  # of the zero point between a uint8 tensor and the int8 one with the same real values


@dataclass(frozen=True, slots=True)
class InputChange:
    """An input that takes int8 from now on: integer = round(value / scale) + zero_point.

    Attributes:
        name: of the tensor that was the input.
        type: of that tensor.
        shape: of both, elements.
        scale, zero_point: of the new input.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int


def with_int8_input(content: bytes, *, name: str | None = None) -> tuple[bytes, tuple[InputChange, ...]]:
    """The file with int8 inputs, and what has changed.

    Args:
        content: a .tflite file.
        name: what to call it in messages.

    Raises:
        ModelError: the file cannot be read or rewritten without loss, or no input can be replaced; it is said why.
    """
    draft, changes = int8_input(open_draft(content, name=name))
    return finish(draft), changes


def int8_input(draft: Draft) -> tuple[Draft, tuple[InputChange, ...]]:
    """The draft with int8 inputs, and what has changed.

    Raises:
        ModelError: no input can be replaced; for each of them it is said why.
    """
    graph = draft.graphs[0]
    changes: dict[int, int] = {}
    reasons = []
    for index in graph.inputs:
        found = _quantized(draft, graph, index)
        if isinstance(found, str):
            reasons.append(f"input {graph.tensors[index].name!r} {found}")
        else:
            changes[index] = found.outputs[0]
            graph = replace(graph, operators=tuple(operator for operator in graph.operators if operator is not found))
    if not changes:
        raise ModelError(f"no input can become int8: {'; '.join(reasons) or 'there is none'}", where=draft.model.path)
    tensors = {index: tensor for index, tensor in graph.tensors.items() if index not in changes}
    inputs = tuple(changes.get(index, index) for index in graph.inputs)
    signatures = tuple(_signature(record, changes) for record in draft.root.records("signature_defs"))
    root = draft.root.replaced(signature_defs=signatures or None)
    changed = replace(draft, root=root).with_graph(0, replace(graph, tensors=tensors, inputs=inputs))
    return changed, tuple(_change(draft.graphs[0], old, new) for old, new in changes.items())


def given_before(array: Array, before: Tensor, after: Tensor) -> Array:
    """What the old model has to be given so that it sees what the new one does: the value of each integer.

    Args:
        array: for the input `after` of the new model.
        before: the same input of the old model.
        after: the input of the new model; where the types are the same, `array` is given back as it is.
    """
    if before.type == after.type:
        return array
    assert after.quantization is not None
    scale, zero_point = after.quantization.scale[0], after.quantization.zero_point[0]
    if before.type == "UINT8":
        return (array.astype(np.int16) + _UINT8_SHIFT).astype(np.uint8)
    values: Array = (array.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)
    return values


def _quantized(draft: Draft, graph: DraftGraph, index: int) -> Operator | str:
    """The operator that quantises an input, or why the input has to stay."""
    tensor = graph.tensors[index]
    if tensor.type == "INT8":
        return "is int8 already"
    if tensor.type not in ("FLOAT32", "UINT8"):
        return f"is {tensor.type}, not FLOAT32 or UINT8"
    if len(draft.graphs) > 1 or graph.readers()[index] > 1:
        return "is used in several places"
    reader = next((operator for operator in graph.operators if index in operator.inputs), None)
    if reader is None or reader.op != "QUANTIZE" or reader.is_custom:
        return f"is read by {reader.op if reader else 'no operator'}, not by QUANTIZE"
    result = graph.tensors[reader.outputs[0]]
    if result.type != "INT8" or result.quantization is None or len(result.quantization.scale) != 1:
        return f"is quantised to {result.type}, not to INT8 with one scale"
    if reader.outputs[0] in graph.outputs:
        return "is an output once it is quantised"
    if tensor.type == "UINT8" and not _is_shifted(tensor, result):
        return "is UINT8 with another scale than its int8 copy, so that not every integer stands for the same value"
    return reader


def _is_shifted(before: Tensor, after: Tensor) -> bool:
    """The int8 tensor holds the integers of the uint8 one less 128: each value has one integer in both."""
    old, new = before.quantization, after.quantization
    return (
        old is not None
        and new is not None
        and old.scale == new.scale
        and len(old.zero_point) == len(new.zero_point) == 1
        and old.zero_point[0] - _UINT8_SHIFT == new.zero_point[0]
    )


def _signature(record: Record, changes: dict[int, int]) -> Record:
    entries = tuple(
        entry.replaced(tensor_index=changes.get(entry.integer("tensor_index"), entry.integer("tensor_index")))
        for entry in record.records("inputs")
    )
    return record.replaced(inputs=entries or None)


def _change(graph: DraftGraph, old: int, new: int) -> InputChange:
    before, after = graph.tensors[old], graph.tensors[new]
    assert after.quantization is not None
    zero_point = after.quantization.zero_point
    return InputChange(
        before.name, before.type, before.shape, after.quantization.scale[0], zero_point[0] if zero_point else 0
    )
