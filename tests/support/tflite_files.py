"""Writes small .tflite files for tests, slot by slot, by the schema and nothing else of this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers

from firmware_sim.schema import ACTIVATION, OPERATORS, OPTIONS, PADDING, TABLES, TENSOR_TYPES, Field

_VECTORS = {
    "[int32]": ("PrependInt32", 4), "[int64]": ("PrependInt64", 8), "[float32]": ("PrependFloat32", 4),
    "[uint8]": ("PrependUint8", 1), "[table]": ("PrependUOffsetTRelative", 4),
}  # fmt: skip
_SCALARS = {
    "bool": "PrependBoolSlot", "int8": "PrependInt8Slot", "uint8": "PrependUint8Slot", "int32": "PrependInt32Slot",
    "uint32": "PrependUint32Slot", "int64": "PrependInt64Slot", "uint64": "PrependUint64Slot",
    "float32": "PrependFloat32Slot",
}  # fmt: skip


@dataclass(frozen=True)
class T:
    """A tensor; `data` makes it a constant, `buffer` shares or invents a buffer index."""

    shape: Sequence[int]
    type: str = "INT8"
    data: bytes | None = None
    scale: Sequence[float] = (0.5,)
    zero_point: Sequence[int] | None = None
    dimension: int = 0
    is_variable: bool = False
    name: str | None = None
    buffer: int | None = None


@dataclass(frozen=True)
class Op:
    """An operator; `options` is (name of the options table, values)."""

    op: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: tuple[str, Mapping[str, Any]] | None = None
    custom_options: bytes | None = None
    intermediates: Sequence[int] = ()


@dataclass(frozen=True)
class Graph:
    """A subgraph."""

    tensors: Sequence[T]
    operators: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]


@dataclass
class _Writer:
    builder: flatbuffers.Builder = field(default_factory=lambda: flatbuffers.Builder(1024))

    def value(self, kind: str, value: Any) -> Any:
        """Write what lies outside a table; gives what its slot holds."""
        if kind == "string":
            return self.builder.CreateString(value)
        if kind in _VECTORS:
            if kind == "[uint8]":
                return self.builder.CreateByteVector(bytes(value))
            method, width = _VECTORS[kind]
            self.builder.StartVector(width, len(value), max(width, 4))
            for item in reversed(value):
                getattr(self.builder, method)(item)
            return self.builder.EndVector()
        return value

    def table(self, fields: Mapping[str, Field], values: Mapping[str, Any]) -> int:
        kept = {name: value for name, value in values.items() if value is not None}
        written = {name: self.value(fields[name].kind, value) for name, value in kept.items()}
        self.builder.StartObject(max((f.slot for f in fields.values()), default=-1) + 1)
        for name, value in written.items():
            slot, kind = fields[name].slot, fields[name].kind
            if kind in _SCALARS:
                getattr(self.builder, _SCALARS[kind])(slot, value, None)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return self.builder.EndObject()


def tflite(
    *graphs: Graph,
    metadata: Mapping[str, bytes] | None = None,
    version: int = 3,
    description: str = "a test",
    buffer_fields: Mapping[str, Any] | None = None,
) -> bytes:
    """The file. Buffer 0 is empty, as everywhere; `buffer_fields` are set on every constant's buffer."""
    writer = _Writer()
    buffers: list[int] = [writer.table(TABLES["Buffer"], {})]
    names = list(dict.fromkeys(op.op for graph in graphs for op in graph.operators))

    def buffer(data: bytes | None) -> int:
        if data is None:
            return 0
        buffers.append(writer.table(TABLES["Buffer"], {"data": data, **(buffer_fields or {})}))
        return len(buffers) - 1

    subgraphs = [_subgraph(writer, graph, names, buffer) for graph in graphs]
    entries = [
        writer.table(TABLES["Metadata"], {"name": name, "buffer": buffer(data)})
        for name, data in (metadata or {}).items()
    ]
    codes = [
        writer.table(
            TABLES["OperatorCode"],
            {
                "builtin_code": OPERATORS.get(name, OPERATORS["CUSTOM"]),
                "deprecated_builtin_code": min(OPERATORS.get(name, OPERATORS["CUSTOM"]), 127),
                "custom_code": None if name in OPERATORS else name,
                "version": 1,
            },
        )
        for name in names
    ]
    root = writer.table(
        TABLES["Model"],
        {
            "version": version, "operator_codes": codes, "subgraphs": subgraphs, "description": description,
            "buffers": buffers, "metadata": entries,
        },
    )  # fmt: skip
    writer.builder.Finish(root, b"TFL3")
    return bytes(writer.builder.Output())


def _subgraph(writer: _Writer, graph: Graph, names: list[str], buffer: Any) -> int:
    tensors = [_tensor(writer, index, tensor, buffer) for index, tensor in enumerate(graph.tensors)]
    operators = [_operator(writer, op, names) for op in graph.operators]
    return writer.table(
        TABLES["SubGraph"],
        {"tensors": tensors, "inputs": graph.inputs, "outputs": graph.outputs, "operators": operators, "name": "main"},
    )


def _tensor(writer: _Writer, index: int, tensor: T, buffer: Any) -> int:
    quantization = None
    if tensor.scale:
        zero_point = tensor.zero_point or [0] * len(tensor.scale)
        quantization = writer.table(
            TABLES["QuantizationParameters"],
            {"scale": tensor.scale, "zero_point": zero_point, "quantized_dimension": tensor.dimension},
        )
    return writer.table(
        TABLES["Tensor"],
        {
            "shape": tensor.shape, "type": TENSOR_TYPES[tensor.type].code, "name": tensor.name or f"t{index}",
            "buffer": buffer(tensor.data) if tensor.buffer is None else tensor.buffer,
            "quantization": quantization, "is_variable": tensor.is_variable,
        },
    )  # fmt: skip


def _operator(writer: _Writer, op: Op, names: list[str]) -> int:
    values: dict[str, Any] = {
        "opcode_index": names.index(op.op), "inputs": op.inputs, "outputs": op.outputs,
        "custom_options": op.custom_options, "intermediates": op.intermediates or None,
    }  # fmt: skip
    if op.options:
        table = OPTIONS[op.options[0]]
        values["builtin_options_type"] = table.code
        values["builtin_options"] = writer.table(table.fields, op.options[1])
    return writer.table(TABLES["Operator"], values)


def convolution_options(padding: str = "SAME", stride: int = 1, **more: int) -> tuple[str, dict[str, int]]:
    """Options of CONV_2D."""
    return "Conv2DOptions", {"padding": PADDING[padding], "stride_w": stride, "stride_h": stride, **more}


def doubling_convolution() -> bytes:
    """A 1x1 convolution that doubles the channels, on a map large enough to matter."""
    return tflite(
        Graph(
            [
                T([1, 24, 24, 8]),
                T([16, 1, 1, 8], data=bytes(n % 50 for n in range(128)), scale=[0.1] * 16),
                T([16], "INT32", bytes(64), scale=[0.05] * 16),
                T([1, 24, 24, 16], scale=[2.0]),
            ],
            [Op("CONV_2D", [0, 1, 2], [3], convolution_options())],
            inputs=[0],
            outputs=[3],
        )
    )


def small_network() -> Graph:
    """Convolution, depthwise convolution, average pool, reshape, fully connected, softmax: [1, 8, 8, 3] to [1, 4]."""
    constant = bytes(4096)
    return Graph(
        [
            T([1, 8, 8, 3], name="image"),
            T([8, 3, 3, 3], data=constant[:216], scale=[0.1] * 8),
            T([8], "INT32", constant[:32], scale=[0.05] * 8),
            T([1, 8, 8, 8], name="features"),
            T([1, 3, 3, 8], data=constant[:72], scale=[0.1] * 8, dimension=3),
            T([8], "INT32", constant[:32], scale=[0.05] * 8),
            T([1, 4, 4, 8], name="spatial"),
            T([1, 1, 1, 8], name="pooled"),
            T([2], "INT32", (1).to_bytes(4, "little") + (8).to_bytes(4, "little"), scale=()),
            T([1, 8], name="flat"),
            T([4, 8], data=constant[:32], scale=[0.1]),
            T([4], "INT32", constant[:16], scale=[0.05]),
            T([1, 4], name="logits"),
            T([1, 4], scale=[1 / 256], zero_point=[-128], name="classes"),
        ],
        [
            Op("CONV_2D", [0, 1, 2], [3], convolution_options()),
            Op(
                "DEPTHWISE_CONV_2D",
                [3, 4, 5],
                [6],
                (
                    "DepthwiseConv2DOptions",
                    {"padding": PADDING["SAME"], "stride_w": 2, "stride_h": 2, "depth_multiplier": 1},
                ),
            ),
            Op(
                "AVERAGE_POOL_2D",
                [6],
                [7],
                (
                    "Pool2DOptions",
                    {
                        "padding": PADDING["VALID"], "stride_w": 4, "stride_h": 4,
                        "filter_width": 4, "filter_height": 4, "fused_activation_function": ACTIVATION["NONE"],
                    },
                ),
            ),
            Op("RESHAPE", [7, 8], [9], ("ReshapeOptions", {"new_shape": [1, 8]})),
            Op("FULLY_CONNECTED", [9, 10, 11], [12], ("FullyConnectedOptions", {})),
            Op("SOFTMAX", [12], [13], ("SoftmaxOptions", {"beta": 1.0})),
        ],
        inputs=[0],
        outputs=[13],
    )  # fmt: skip
