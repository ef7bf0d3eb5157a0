"""The arena of a float graph, from what TFLM takes for each of its operators.

Combinations of forms are priced by the dozen, and most operators are the same in all of them. Each goes through the account
once, by what a kernel sees of it: its options, and shapes and types of its tensors. Ranges are not needed.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import lru_cache
from operator import is_
from typing import Final

import numpy as np

from exporters.graph import Graph, Operator, Quantization, Shape, Tensor
from exporters.operators import KINDS
from exporters.preview import preview
from exporters.sharing import contents
from firmware_sim import profiles
from firmware_sim.memory import chain
from firmware_sim.model import Tensor as FileTensor

_MOST_KNOWN: Final = 20_000


def arena_bytes(graph: Graph, profile: str = "host64") -> int:
    """Arena that TFLM will use for the int8 form of a float graph.

    Args:
        graph: float graph, with the rescalings of `exporters.quantize.separate`.
        profile: build of TFLM; see `firmware_sim.profiles`.
    """
    return Account().arena_bytes(graph, profile)


class Account:
    """Arenas of graphs that have most operators in common, not only their like: those are looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[list[Tensor | None], chain.Step, Operator]] = {}

    def arena_bytes(self, graph: Graph, profile: str) -> int:
        """See the function of this name."""
        inputs, outputs = (
            {name: _end(graph.tensors[name].shape) for name in ends} for ends in (graph.inputs, graph.outputs)
        )
        fixed = contents(graph)
        stored = len(graph.tensors) - len(fixed) + len(set(fixed))
        order = [name for name, tensor in graph.tensors.items() if tensor.data is None]
        steps = self._steps(graph, profile)
        return chain.network_bytes(steps, profiles.get(profile), inputs, outputs, tensors=stored, order=order)

    def _steps(self, graph: Graph, profile: str) -> list[chain.Step]:
        """The operators of a graph, by identity: one is known only together with its tensors."""
        own = {
            id(op): [None if name is None else graph.tensors[name] for name in (*op.inputs, *op.outputs)]
            for op in graph.operators
        }
        new = [op for op in graph.operators if not self._knows(profile, op, own[id(op)])]
        for op, link in zip(new, _links(replace(graph, operators=tuple(new)), profile), strict=True):
            # With the operator, so that no other one takes its identity.
            self._known[profile, id(op)] = (own[id(op)], chain.Step(link, _maps(graph, op), op.outputs), op)
        return [self._known[profile, id(op)][1] for op in graph.operators]

    def _knows(self, profile: str, op: Operator, tensors: list[Tensor | None]) -> bool:
        known = self._known.get((profile, id(op)))
        return known is not None and all(map(is_, known[0], tensors))


_KNOWN: Final[dict[Hashable, chain.Link]] = {}


def _links(graph: Graph, profile: str) -> list[chain.Link]:
    """The operators of a graph as parts of networks, from memory where their like was met before."""
    keys = [(profile, _seen(graph, op)) for op in graph.operators]
    new = {key: op for key, op in zip(keys, graph.operators, strict=True) if key not in _KNOWN}
    if new:
        if len(_KNOWN) + len(new) > _MOST_KNOWN:
            _KNOWN.clear()
            return _links(graph, profile)
        alone = replace(graph, operators=tuple(new.values())).rebuilt(new.values())
        model = preview(as_integers(alone), 0, name="")
        _KNOWN.update(zip(new, chain.operators(model, profiles.get(profile)), strict=True))
    return [_KNOWN[key] for key in keys]


def _seen(graph: Graph, op: Operator) -> Hashable:
    """What the kernel of an operator sees."""
    names = (*op.inputs, op.outputs[0])
    tensors = [None if name is None else _view(graph.tensors[name]) for name in names]
    repeated = len({*names}) < len(names)
    places = [names.index(name) for name in names] if repeated else ()
    return op.op, tuple(op.options.items()), tuple(tensors), tuple(places)


def _view(tensor: Tensor) -> Hashable:
    """Shape and type of a tensor, and whether it is a constant; whole numbers are shapes, which kernels read."""
    data = tensor.data
    return tensor.shape, tensor.dtype, None if data is None else b"" if tensor.dtype == "float32" else data.tobytes()


def _maps(graph: Graph, op: Operator) -> list[str]:
    """What an operator reads and another one writes, each once."""
    return [name for name in dict.fromkeys(op.inputs) if name is not None and graph.tensors[name].data is None]


@lru_cache(_MOST_KNOWN)
def _end(shape: Shape) -> FileTensor:
    """An input or output of the network."""
    graph = Graph({"x": Tensor("x", shape)}, (), ("x",), ("x",))
    return preview(as_integers(graph), 0, name="").subgraphs[0].tensors[0]


def as_integers(graph: Graph) -> Graph:
    """A graph of the shapes and types that quantisation gives, every weight zero and every free scale one."""
    unit = Quantization((1.0,), (0,))
    tensors = {t.name: Tensor(t.name, t.shape, "int8", _zeros(t), unit) for t in graph.tensors.values() if _is_real(t)}
    for op in graph.operators:
        if KINDS[op.op].output is not None:
            name = op.outputs[0]
            tensors[name] = Tensor(name, graph.tensors[name].shape, "int8", None, KINDS[op.op].output)
        if op.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            channels = graph.tensors[op.outputs[0]].shape[-1]
            dimension = 0 if op.op == "CONV_2D" else 3
            kernel, bias = (graph.tensors[str(name)] for name in op.inputs[1:3])
            scales = Quantization((1.0,) * channels, (0,) * channels, dimension)
            tensors[kernel.name] = Tensor(kernel.name, kernel.shape, "int8", _zeros(kernel), scales)
            scales = Quantization((1.0,) * channels, (0,) * channels)
            tensors[bias.name] = Tensor(bias.name, bias.shape, "int32", np.zeros(bias.shape, np.int32), scales)
    return graph.rebuilt(graph.operators, tensors.values())


def _is_real(tensor: Tensor) -> bool:
    return tensor.dtype == "float32"


def _zeros(tensor: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int8]] | None:
    return None if tensor.data is None else np.zeros(tensor.shape, np.int8)
