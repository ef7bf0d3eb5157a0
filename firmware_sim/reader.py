"""Reads a .tflite file into `firmware_sim.model`; trusts nothing in the file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Final, NamedTuple

from firmware_sim.digest import Digest
from firmware_sim.errors import ModelError
from firmware_sim.files import read_bytes
from firmware_sim.flatbuffer import Buffer, Table
from firmware_sim.model import COMPRESSION_METADATA, Model, Operator, OptionValue, Quantization, Subgraph, Tensor
from firmware_sim.schema import (
    FILE_IDENTIFIER,
    OPERATOR_NAMES,
    OPERATORS,
    OPTIONS_BY_CODE,
    TABLES,
    TENSOR_TYPE_BY_CODE,
    TensorType,
)

_MODEL: Final = TABLES["Model"]
_CODE: Final = TABLES["OperatorCode"]
_SUBGRAPH: Final = TABLES["SubGraph"]
_TENSOR: Final = TABLES["Tensor"]
_QUANTIZATION: Final = TABLES["QuantizationParameters"]
_OPERATOR: Final = TABLES["Operator"]
_BUFFER: Final = TABLES["Buffer"]
_METADATA: Final = TABLES["Metadata"]

_SCHEMA_VERSION: Final = 3
# TFLM holds a tensor's size in a 32-bit int (lite/micro/memory_helpers.cc:126-141).
_MAX_ELEMENTS: Final = 2**31 - 1
# Far beyond any microcontroller (10,000 tensors take 120 kB of bookkeeping in TFLM alone) and small enough that
# planning, whose time grows with the square, stays a matter of seconds.
_MAX_PARTS: Final = 10_000
# A size that only the running model knows; a RESHAPE may leave one to be worked out from the others.
_OPEN_SIZE: Final = -1
_MAX_FILE_BYTES: Final = 2**31 - 1
# 0 and 1 in Buffer.offset and Operator.large_custom_options_offset mean "not used" (schema.fbs).
_PLACEHOLDER: Final = 1


class _Shared(NamedTuple):
    """What the subgraphs of a file have in common; `codes` are names, whether they are custom, and versions."""

    buffers: Sequence[memoryview | None]
    codes: Sequence[tuple[str, bool, int]]
    is_compressed: bool


def read_model(source: str | Path | bytes, name: str | None) -> Model:
    """See `firmware_sim.model.read`."""
    data = source if isinstance(source, bytes) else load(Path(source))
    label = name or ("<bytes>" if isinstance(source, bytes) else str(source))
    try:
        return _model(data, label)
    except ModelError as error:
        if error.where is None:
            raise type(error)(error.message, where=label, hint=error.hint) from None
        raise


def load(path: Path) -> bytes:
    """Contents of a file that can be a model.

    Raises:
        FileError: there is no such file, or it cannot be read.
        ModelError: it is too large for one.
    """
    with contextlib.suppress(OSError, ValueError):  # which reading it says better
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ModelError("larger than 2 GiB, the limit of a flatbuffer", where=path)
    return read_bytes(path)


def _check_identifier(data: bytes) -> None:
    if not data:
        raise ModelError("the file is empty")
    if data.startswith(b"version https://git-lfs"):
        raise ModelError("a Git LFS pointer, not the model itself", hint="Fetch it with: git lfs pull")
    if data[4:8] != FILE_IDENTIFIER:
        truncated = len(data) < 8 and FILE_IDENTIFIER.startswith(data[4:8])
        raise ModelError(
            "truncated: a .tflite file has at least 8 bytes"
            if truncated
            else "not a .tflite file: bytes 4 to 7 are not the identifier 'TFL3'"
        )


def _model(data: bytes, label: str) -> Model:
    _check_identifier(data)
    root = Buffer(data).root()
    version = root.integer(_MODEL["version"])
    if version != _SCHEMA_VERSION:
        raise ModelError(f"schema version {version}; TensorFlow Lite Micro reads version {_SCHEMA_VERSION}")
    buffers = _buffers(root)
    metadata = _metadata(root, buffers)
    codes = [_operator_code(code) for code in root.tables(_MODEL["operator_codes"])]
    shared = _Shared(buffers, codes, is_compressed=COMPRESSION_METADATA in metadata)
    subgraphs = tuple(_subgraph(table, number, shared) for number, table in enumerate(root.tables(_MODEL["subgraphs"])))
    if not subgraphs:
        raise ModelError("the file has no subgraph")
    for what, count in (
        ("tensors", sum(len(subgraph.tensors) for subgraph in subgraphs)),
        ("operators", sum(len(subgraph.operators) for subgraph in subgraphs)),
    ):
        if count > _MAX_PARTS:
            raise ModelError(f"{count} {what}; more than {_MAX_PARTS} are not supported")
    return Model(
        path=label,
        digest=Digest(data),
        size_bytes=len(data),
        description=root.string(_MODEL["description"]) or "",
        subgraphs=subgraphs,
        metadata=metadata,
    )


def _buffers(root: Table) -> list[memoryview | None]:
    """Contents of each buffer; None for an empty one, which stands for "not a constant"."""
    buffers: list[memoryview | None] = []
    for index, table in enumerate(root.tables(_MODEL["buffers"])):
        if table.integer(_BUFFER["offset"]) > _PLACEHOLDER:
            raise _stored_outside(f"buffer {index}")
        buffers.append(table.view(_BUFFER["data"]) or None)
    return buffers


def _stored_outside(what: str) -> ModelError:
    return ModelError(
        f"{what} is stored outside the flatbuffer",
        hint="TensorFlow Lite Micro would take such constants for activations and compute garbage. "
        "Write the model again with all constants inside the flatbuffer (below 2 GiB).",
    )


def _buffer(buffers: Sequence[memoryview | None], index: int, what: str) -> memoryview | None:
    if index >= len(buffers):
        raise ModelError(f"{what} refers to buffer {index} of {len(buffers)}")
    return buffers[index]


def _metadata(root: Table, buffers: Sequence[memoryview | None]) -> Mapping[str, memoryview]:
    entries: dict[str, memoryview] = {}
    for table in root.tables(_MODEL["metadata"]):
        name = table.string(_METADATA["name"]) or ""
        data = _buffer(buffers, table.integer(_METADATA["buffer"]), f"metadata {name!r}")
        entries[name] = memoryview(b"") if data is None else data
    return entries


def _operator_code(table: Table) -> tuple[str, bool, int]:
    """Name, whether it is custom, and version. Older writers fill only the deprecated field, newer ones both."""
    code = max(table.integer(_CODE["builtin_code"]), table.integer(_CODE["deprecated_builtin_code"]))
    version = table.integer(_CODE["version"])
    if code == OPERATORS["CUSTOM"]:
        return table.string(_CODE["custom_code"]) or "", True, version
    return OPERATOR_NAMES.get(code, f"BUILTIN_{code}"), False, version


def _subgraph(table: Table, number: int, shared: _Shared) -> Subgraph:
    tensors = tuple(_tensor(tensor, index, shared) for index, tensor in enumerate(table.tables(_SUBGRAPH["tensors"])))
    inputs = table.integers(_SUBGRAPH["inputs"])
    outputs = table.integers(_SUBGRAPH["outputs"])
    count = len(tensors)
    _check_indices(inputs, 0, count, f"subgraph {number}: input")
    _check_indices(outputs, 0, count, f"subgraph {number}: output")
    operators = tuple(
        _operator(operator, index, count, shared.codes, f"subgraph {number}, operator {index}")
        for index, operator in enumerate(table.tables(_SUBGRAPH["operators"]))
    )
    return Subgraph(tensors, operators, inputs, outputs, table.string(_SUBGRAPH["name"]) or "")


def _check_indices(indices: Sequence[int], lowest: int, count: int, what: str) -> None:
    for index in indices:
        if not lowest <= index < count:
            raise ModelError(f"{what} refers to tensor {index} of {count}")


def _tensor(table: Table, index: int, shared: _Shared) -> Tensor:
    name = table.string(_TENSOR["name"]) or f"tensor_{index}"
    what = f"tensor {index} ({name!r})"
    shape = table.integers(_TENSOR["shape"])
    _check_shape(shape, what)
    kind = TENSOR_TYPE_BY_CODE.get(table.integer(_TENSOR["type"]))
    if kind is None:
        raise ModelError(f"{what} has the unknown element type {table.integer(_TENSOR['type'])}")
    if table.integer(_TENSOR["external_buffer"]):
        raise _stored_outside(what)
    buffer = table.integer(_TENSOR["buffer"])
    data = _buffer(shared.buffers, buffer, what)
    if data is not None and not shared.is_compressed and not table.has(_TENSOR["sparsity"]):
        _check_data(data, shape, kind, what)
    is_variable = bool(table.scalar(_TENSOR["is_variable"]))
    quantization = _quantization(table.table(_TENSOR["quantization"]))
    return Tensor(index, name, shape, kind.name, buffer, is_variable, quantization, data)


def _check_data(data: memoryview, shape: tuple[int, ...], kind: TensorType, what: str) -> None:
    """A constant has all its elements; kernels would read past its end. int4 is packed, two elements to a byte."""
    if kind.bits is None or -1 in shape:
        return
    needed = (prod(shape) * kind.bits + 7) // 8
    if len(data) < needed:
        raise ModelError(f"{what} is a constant of {needed} bytes, of which the file holds {len(data)}")


def _check_shape(shape: tuple[int, ...], what: str) -> None:
    elements = 1
    for dimension in shape:
        if dimension < _OPEN_SIZE:
            raise ModelError(f"{what} has a dimension of size {dimension}")
        elements *= abs(dimension)
        if elements > _MAX_ELEMENTS:
            raise ModelError(f"{what} has {len(shape)} dimensions with more than {_MAX_ELEMENTS} elements")


def _quantization(table: Table | None) -> Quantization | None:
    """None where the file stores no scales: TFLM then treats the tensor as not quantised."""
    if table is None:
        return None
    scale = table.floats(_QUANTIZATION["scale"])
    zero_point = table.integers(_QUANTIZATION["zero_point"])
    if not scale and not zero_point:
        return None
    return Quantization(scale, zero_point, table.integer(_QUANTIZATION["quantized_dimension"]))


def _operator(table: Table, index: int, tensors: int, codes: Sequence[tuple[str, bool, int]], what: str) -> Operator:
    code = table.integer(_OPERATOR["opcode_index"])
    if code >= len(codes):
        raise ModelError(f"{what} refers to operator code {code} of {len(codes)}")
    op, is_custom, version = codes[code]
    what = f"{what} ({op})"
    inputs = table.integers(_OPERATOR["inputs"])
    outputs = table.integers(_OPERATOR["outputs"])
    intermediates = table.integers(_OPERATOR["intermediates"])
    _check_indices(inputs, -1, tensors, f"{what}: input")
    _check_indices(outputs, 0, tensors, f"{what}: output")
    _check_indices(intermediates, -1, tensors, f"{what}: intermediate")
    if table.integer(_OPERATOR["large_custom_options_offset"]) > _PLACEHOLDER:
        raise _stored_outside(f"{what}: custom options")
    custom_options = table.view(_OPERATOR["custom_options"])
    return Operator(index, op, version, inputs, outputs, _options(table), custom_options, intermediates, is_custom)


def _options(table: Table) -> Mapping[str, OptionValue]:
    member = OPTIONS_BY_CODE.get(table.integer(_OPERATOR["builtin_options_type"]))
    options = None if member is None else table.table(_OPERATOR["builtin_options"])
    if member is None or options is None:
        return {}
    values: dict[str, OptionValue] = {}
    for name, field in member.fields.items():
        if field.kind == "string":
            values[name] = options.string(field) or ""
        elif field.kind.startswith("["):
            values[name] = options.vector(field)
        elif field.kind != "table":
            values[name] = options.scalar(field)
    return values
