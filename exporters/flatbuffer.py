"""A graph as the bytes of a .tflite file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from exporters.graph import Graph, Operator, Quantization, Tensor
from exporters.operators import KINDS
from firmware_sim import schema

_SCHEMA_VERSION: Final = 3
ALIGNMENT_BYTES: Final = 16  # of constant data; TFLM uses weights in place (schema.fbs, Buffer.data force_align)
DTYPES: Final = {"float32": "FLOAT32", "int8": "INT8", "int32": "INT32"}
ENUMS: Final[Mapping[str, Mapping[str, int]]] = {
    "padding": schema.PADDING,
    "fused_activation_function": schema.ACTIVATION,
}


def serialise(graph: Graph, *, description: str, metadata: Mapping[str, bytes] | None = None) -> bytes:
    """The .tflite file of a graph.

    The same graph gives the same bytes. Buffer 0 is empty, as the format demands; constants are aligned to 16 bytes.

    Args:
        graph: quantised (or float) graph.
        description: goes into the model's `description`.
        metadata: further entries of the model's metadata; TFLM ignores names that it does not know.
    """
    return Writer(graph).model(description, metadata or {})


class Writer:
    """Writes tables by the slot numbers of the schema.

    `exporters.layout` replaces the pieces by ones that only count; the order in which they are written is said here alone.
    """

    def __init__(self, graph: Graph, builder: Any = None) -> None:
        self.graph = graph
        self.builder = builder or flatbuffers.Builder(1 << 16)
        self.index = {name: i for i, name in enumerate(graph.tensors)}
        self.codes = list(dict.fromkeys(op.op for op in graph.operators))

    # ---- flatbuffer pieces ------------------------------------------------------------------------------------

    def table(self, fields: Mapping[str, schema.Field], values: Mapping[str, Any]) -> int:
        """A table; offsets (strings, vectors, tables) must have been written before and are given as ints."""
        b = self.builder
        b.StartObject(max((f.slot for f in fields.values()), default=-1) + 1)
        for name, value in values.items():
            field = fields[name]
            if field.default is None:
                b.PrependUOffsetTRelativeSlot(field.slot, value, 0)
            else:
                _SCALARS[field.kind](b, field.slot, value, field.default)
        return int(b.EndObject())

    def ints(self, values: Sequence[int]) -> int:
        return self.numbers(values, np.int32)

    def numbers(self, values: Sequence[float], dtype: type[np.generic]) -> int:
        return int(self.builder.CreateNumpyVector(np.asarray(values, dtype)))

    def offsets(self, values: Sequence[int]) -> int:
        b = self.builder
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependUOffsetTRelative(value)
        return int(b.EndVector())

    def data(self, array: NDArray[Any] | bytes) -> int:
        raw = (
            array
            if isinstance(array, bytes)
            else np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes()
        )
        b = self.builder
        b.StartVector(1, len(raw), ALIGNMENT_BYTES)
        b.head = b.head - len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw
        return int(b.EndVector())

    # ---- tables of the schema ---------------------------------------------------------------------------------

    def model(self, description: str, metadata: Mapping[str, bytes]) -> bytes:
        tables = schema.TABLES
        constants = [t.data for t in self.graph.tensors.values() if t.data is not None]
        contents: list[NDArray[Any] | bytes | None] = [None, *constants, *metadata.values()]
        buffers = [self.table(tables["Buffer"], {} if c is None else {"data": self.data(c)}) for c in contents]
        first_metadata = 1 + len(constants)
        entries = [
            self.table(tables["Metadata"], {"name": self.builder.CreateString(name), "buffer": first_metadata + i})
            for i, name in enumerate(metadata)
        ]
        values: dict[str, Any] = {
            "version": _SCHEMA_VERSION,
            "operator_codes": self.offsets([self.operator_code(op) for op in self.codes]),
            "subgraphs": self.offsets([self.subgraph()]),
            "description": self.builder.CreateString(description),
            "buffers": self.offsets(buffers),
        }
        if entries:
            values["metadata"] = self.offsets(entries)
        self.builder.Finish(self.table(tables["Model"], values), schema.FILE_IDENTIFIER)
        return bytes(self.builder.Output())

    def operator_code(self, op: str) -> int:
        code = schema.OPERATORS[op]
        # Readers from before 2020 know only the one-byte field, which ends at 127.
        values = {
            "deprecated_builtin_code": min(code, 127),
            "version": KINDS[op].version,
            "builtin_code": code,
        }
        return self.table(schema.TABLES["OperatorCode"], values)

    def subgraph(self) -> int:
        buffer, numbered = 0, []
        for tensor in self.graph.tensors.values():
            buffer += tensor.data is not None
            numbered.append(self.tensor(tensor, buffer if tensor.data is not None else 0))
        return self.table(
            schema.TABLES["SubGraph"],
            {
                "tensors": self.offsets(numbered),
                "inputs": self.ints([self.index[name] for name in self.graph.inputs]),
                "outputs": self.ints([self.index[name] for name in self.graph.outputs]),
                "operators": self.offsets([self.operator(op) for op in self.graph.operators]),
                "name": self.builder.CreateString("main"),
            },
        )

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        values: dict[str, Any] = {
            "shape": self.ints(tensor.shape),
            "type": schema.TENSOR_TYPES[DTYPES[tensor.dtype]].code,
            "buffer": buffer,
            "name": self.builder.CreateString(tensor.name),
        }
        if tensor.quantization is not None:
            values["quantization"] = self.quantization(tensor.quantization)
        return self.table(schema.TABLES["Tensor"], values)

    def quantization(self, q: Quantization) -> int:
        values: dict[str, Any] = {
            "scale": self.numbers(q.scale, np.float32),
            "zero_point": self.numbers(q.zero_point, np.int64),
            "quantized_dimension": q.dimension,
        }
        return self.table(schema.TABLES["QuantizationParameters"], values)

    def operator(self, op: Operator) -> int:
        values: dict[str, Any] = {
            "opcode_index": self.codes.index(op.op),
            "inputs": self.ints([-1 if name is None else self.index[name] for name in op.inputs]),
            "outputs": self.ints([self.index[name] for name in op.outputs]),
        }
        name = KINDS[op.op].options
        if name is not None:
            table = schema.OPTIONS[name]
            values["builtin_options_type"] = table.code
            values["builtin_options"] = self.options(table, op)
        return self.table(schema.TABLES["Operator"], values)

    def options(self, table: schema.OptionsTable, op: Operator) -> int:
        values: dict[str, Any] = {}
        for name, value in op.options.items():
            if isinstance(value, str):
                values[name] = ENUMS[name][value]
            elif isinstance(value, tuple):
                values[name] = self.ints(value)
            else:
                values[name] = value
        return self.table(table.fields, values)


_SCALARS: Final[Mapping[str, Callable[..., None]]] = {
    "bool": flatbuffers.Builder.PrependBoolSlot,
    "int8": flatbuffers.Builder.PrependInt8Slot,
    "uint8": flatbuffers.Builder.PrependUint8Slot,
    "int32": flatbuffers.Builder.PrependInt32Slot,
    "uint32": flatbuffers.Builder.PrependUint32Slot,
    "float32": flatbuffers.Builder.PrependFloat32Slot,
}
