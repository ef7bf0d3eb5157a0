"""The graph that an export of a network would write, made from the graphs of its parts, without weights.

Each part goes through the exporter itself, once for each shape that it has; its weights are then forgotten. What a search
prices is so the very graph that is written later, and the parts that candidates share are traced once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters import fold
from exporters.forms import Forms
from exporters.graph import Graph, Operator, Quantization, Shape, Tensor
from exporters.lower import Builder, Value, find, lower_module, register
from exporters.operators import KINDS
from exporters.quantize import quantize
from exporters.quantize.groups import share_groups
from exporters.quantize.separate import separate
from exporters.quantize.span import Range
from exporters.trace import trace

_ANY = Range(-1.0, 1.0)
_PLACE = "part"


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What one part of a network becomes.

    Attributes:
        graph: its int8 graph; constants have the right shape and type, and no meaningful values unless they are int32.
        parameters: how many numbers it learns.
        dictated: quantisation of its output where that does not follow from the output's range.
        forms: names of the forms of each choice that it leaves (see `exporters.forms`), by the choice's name in the part.
    """

    graph: Graph
    parameters: int
    dictated: Quantization | None
    forms: Mapping[str, tuple[str, ...]]

    @property
    def output(self) -> Tensor:
        """The map that it gives to the next part."""
        return self.graph.tensors[self.graph.outputs[0]]


def outline(
    module: nn.Module, shape: Shape, quantization: Quantization | None, *, wanted: Mapping[str, str] | None = None,
    inside: bool = True,
) -> Outline:  # fmt: skip
    """Export one part of a network, as far as its graph.

    Args:
        module: takes one map, returns one.
        shape: of its input, [1, H, W, C] as in the graph.
        quantization: of its input where that is dictated (see `exporters.tflite.PIXELS`), None where it is free.
        wanted: the forms that its choices take, by their names in the part; the first ones by default.
        inside: the part stands inside a network, and its tensors are called after its place there; otherwise the names
            are as they are.

    Raises:
        ExportError: see `exporters.tflite.export`.
    """
    _, height, width, channels = shape
    held = (_Held if find(type(module)) else _Traced)(module).eval() if inside else module.eval()
    with torch.no_grad():
        forms = Forms(wanted or {})
        graph = separate(trace(held, (1, channels, height, width), forms), quantization)
    ranges = {tensor.name: _ANY for tensor in graph.activations()}
    graph = quantize(graph, ranges, input_quantization=quantization)
    tensors = {name: _forgotten(tensor) for name, tensor in graph.tensors.items()}
    parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return Outline(replace(graph, tensors=tensors), parameters, _dictated(graph, quantization), forms.met)


def can_fold(before: Outline, after: Outline) -> bool:
    """Whether the exporter may merge operators of two parts that follow each other: their outlines must not be joined."""
    name = after.graph.inputs[0]
    readers = after.graph.consumers().get(name, [])
    last = [op for op in before.graph.operators if before.output.name in op.outputs]
    return len(readers) == 1 and bool(last) and fold.merges(after.graph, readers[0], last[0])


def join(parts: Sequence[tuple[str, Outline]], name: str = "x") -> Graph:
    """The graph of parts that follow each other.

    Args:
        parts: place in the network and outline; the place "" leaves the names as they are.
        name: of the network's input.
    """
    first = parts[0][1].graph
    tensors = {name: replace(first.tensors[first.inputs[0]], name=name)}
    operators: list[Operator] = []
    current = name
    for place, part in parts:
        graph = part.graph
        names = {old: named(old, place) for old in graph.tensors}
        names[graph.inputs[0]] = current
        for old, tensor in graph.tensors.items():
            if old != graph.inputs[0]:
                new = names[old]
                tensors[new] = Tensor(new, tensor.shape, tensor.dtype, tensor.data, tensor.quantization, tensor.fixed)
        for op in graph.operators:
            inputs = tuple([None if old is None else names[old] for old in op.inputs])
            outputs = tuple([names[old] for old in op.outputs])
            operators.append(Operator(op.op, inputs, outputs, op.options, named(op.where, place)))
        current = names[graph.outputs[0]]
    return Graph(tensors, tuple(operators), (name,), (current,))


def _dictated(graph: Graph, quantization: Quantization | None) -> Quantization | None:
    groups = share_groups(graph)
    output = graph.outputs[0]
    fixed = {groups[op.outputs[0]] for op in graph.operators if KINDS[op.op].rule not in ("free", "same")}
    if quantization is not None:
        fixed.add(groups[graph.inputs[0]])
    return graph.tensors[output].quantization if groups[output] in fixed else None


class _Traced(nn.Module):
    """A module inside a network, whose place is filled in later."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.add_module(_PLACE, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = getattr(self, _PLACE)(x)
        return y


class _Held(_Traced):
    """The same for a module that has a lowering, which needs no trace."""


@register(_Held)
def _held(module: _Held, builder: Builder, x: Value) -> Value:
    with builder.at(_PLACE):
        return lower_module(getattr(module, _PLACE), builder, x)


def named(name: str, place: str) -> str:
    """What a name of a part is called where the part stands at `place`."""
    return place + name[len(_PLACE) :] if place else name


def _forgotten(tensor: Tensor) -> Tensor:
    """The same tensor without its values; those that a network does not learn stay."""
    if tensor.data is None or tensor.fixed:
        return tensor
    quantization = tensor.quantization
    if quantization is not None:
        quantization = _equal_scales(len(quantization.scale), quantization.dimension)
    return replace(tensor, data=_zeros(tensor.shape, tensor.dtype), quantization=quantization)


@cache
def _equal_scales(count: int, dimension: int) -> Quantization:
    return Quantization((1.0,) * count, (0,) * count, dimension)


@cache
def _zeros(shape: Shape, dtype: str) -> NDArray[np.generic]:
    """An array that takes no memory."""
    return np.broadcast_to(np.zeros((), np.dtype(dtype)), shape)
