"""A graph as the bytes of a .tflite file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.graph import Graph, Operator, Quantization, Tensor
from exporters.operators import KINDS
from firmware_sim import schema
from firmware_sim.flatbuffer_writer import FlatbufferWriter

_SCHEMA_VERSION: Final = 3
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


class Writer(FlatbufferWriter):
    """Writes the tables of a graph.

    `exporters.layout` replaces the pieces by ones that only count; the order in which they are written is said here alone.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.index = {name: i for i, name in enumerate(graph.tensors)}
        self.codes = list(dict.fromkeys(op.op for op in graph.operators))

    def constant(self, content: NDArray[Any] | bytes) -> int:
        return self.data(_raw(content))

    def ints(self, values: Sequence[int]) -> int:
        return self.vector("int32", values)

    def model(self, description: str, metadata: Mapping[str, bytes]) -> bytes:
        tables = schema.TABLES
        constants = [t.data for t in self.graph.tensors.values() if t.data is not None]
        contents: list[NDArray[Any] | bytes | None] = [None, *constants, *metadata.values()]
        buffers = [self.table(tables["Buffer"], {} if c is None else {"data": self.constant(c)}) for c in contents]
        first_metadata = 1 + len(constants)
        entries = [
            self.table(tables["Metadata"], {"name": self.string(name), "buffer": first_metadata + i})
            for i, name in enumerate(metadata)
        ]
        values: dict[str, Any] = {
            "version": _SCHEMA_VERSION,
            "operator_codes": self.offsets([self.operator_code(op) for op in self.codes]),
            "subgraphs": self.offsets([self.subgraph()]),
            "description": self.string(description),
            "buffers": self.offsets(buffers),
        }
        if entries:
            values["metadata"] = self.offsets(entries)
        return self.finish(self.table(tables["Model"], values))

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
                "name": self.string("main"),
            },
        )

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        values: dict[str, Any] = {
            "shape": self.ints(tensor.shape),
            "type": schema.TENSOR_TYPES[DTYPES[tensor.dtype]].code,
            "buffer": buffer,
            "name": self.string(tensor.name),
        }
        if tensor.quantization is not None:
            values["quantization"] = self.quantization(tensor.quantization)
        return self.table(schema.TABLES["Tensor"], values)

    def quantization(self, q: Quantization) -> int:
        values: dict[str, Any] = {
            "scale": self.vector("float32", q.scale),
            "zero_point": self.vector("int64", q.zero_point),
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


def _raw(content: NDArray[Any] | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    return np.ascontiguousarray(content).astype(content.dtype.newbyteorder("<")).tobytes()
