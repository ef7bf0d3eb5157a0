"""What reading the .tflite file of a graph would give, without writing it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np

from exporters.flatbuffer import DTYPES, ENUMS
from exporters.graph import Graph, OptionValue
from exporters.graph import Tensor as GraphTensor
from exporters.operators import KINDS
from firmware_sim import model as file
from firmware_sim import schema
from firmware_sim.digest import Digest

_NAME: Final = "main"


def preview(graph: Graph, size_bytes: int, *, name: str) -> file.Model:
    """The model that `firmware_sim.read` makes of the graph's file, as far as memory depends on it.

    Weights and zero points are 0, scales 1, the hash is empty: it is for accounts, not for checks of the quantisation.

    Args:
        graph: int8 graph.
        size_bytes: of its file, from `exporters.layout.file_bytes`.
        name: what the model is called in reports and errors.
    """
    index = {tensor: i for i, tensor in enumerate(graph.tensors)}
    tensors, buffer = [], 0
    for i, tensor in enumerate(graph.tensors.values()):
        buffer += tensor.data is not None
        tensors.append(_tensor(i, tensor, buffer))
    operators = tuple(
        file.Operator(
            i,
            op.op,
            KINDS[op.op].version,
            tuple([-1 if each is None else index[each] for each in op.inputs]),
            tuple([index[each] for each in op.outputs]),
            _options(op.op, tuple(op.options.items())),
        )
        for i, op in enumerate(graph.operators)
    )
    inputs, outputs = (tuple(index[each] for each in names) for names in (graph.inputs, graph.outputs))
    subgraph = file.Subgraph(tuple(tensors), operators, inputs, outputs, _NAME)
    return file.Model(name, Digest(None), size_bytes, "", (subgraph,))


def _tensor(index: int, tensor: GraphTensor, buffer: int) -> file.Tensor:
    q, data = tensor.quantization, None
    if tensor.data is not None:
        data = _content(tensor)
    else:
        buffer = 0
    quantization = None if q is None else _quantization(len(q.scale), q.dimension)
    return file.Tensor(index, tensor.name, tensor.shape, DTYPES[tensor.dtype], buffer, False, quantization, data)


def _content(tensor: GraphTensor) -> memoryview:
    """Shapes as they are, since kernels read them; for weights zeros, in an array that takes no memory."""
    assert tensor.data is not None
    if tensor.dtype == "int32" and tensor.quantization is None:
        return memoryview(tensor.data.tobytes())
    return _zeros(math.prod(tensor.shape) * tensor.data.itemsize)


@cache
def _zeros(count: int) -> memoryview:
    return np.broadcast_to(np.uint8(0), count).data


@cache
def _quantization(count: int, dimension: int) -> file.Quantization:
    return file.Quantization((1.0,) * count, (0,) * count, dimension)


@cache
def _options(op: str, given: tuple[tuple[str, OptionValue], ...]) -> Mapping[str, file.OptionValue]:
    """Builtin options as a file gives them back: enumerations as numbers, defaults filled in."""
    table = KINDS[op].options
    if table is None:
        return {}
    options: dict[str, file.OptionValue] = {}
    values = dict(given)
    for name, field in schema.OPTIONS[table].fields.items():
        value = values.get(name, field.default)
        if isinstance(value, str):
            options[name] = ENUMS[name][value]
        elif field.kind.startswith("["):
            options[name] = value if isinstance(value, tuple) else ()
        elif field.kind != "table":
            options[name] = "" if value is None else value
    return options
