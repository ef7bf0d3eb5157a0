"""Removes what does nothing: copies onto the same values, operators and tensors that nobody reads, second constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from firmware_sim.model import Operator, Quantization, Tensor
from firmware_sim.rewrite.draft import NEW_BUFFER, Draft, DraftGraph
from firmware_sim.rewrite.effects import is_stateful


def clean(draft: Draft) -> Draft:
    """Every subgraph without identities, dead parts and duplicate constants."""
    for number, graph in enumerate(draft.graphs):
        draft = draft.with_graph(number, _cleaned(graph))
    return draft


def _cleaned(graph: DraftGraph) -> DraftGraph:
    steps: tuple[Callable[[DraftGraph], DraftGraph], ...] = (_without_identities, _without_dead, _without_duplicates)
    for step in steps:
        graph = step(graph)
    return graph


def _without_identities(graph: DraftGraph) -> DraftGraph:
    for operator in graph.operators:
        source = _same_values(graph, operator)
        if source is not None:
            graph = _bypassed(graph, operator, source)
    return graph


def _same_values(graph: DraftGraph, operator: Operator) -> int | None:
    """The tensor that holds, bit by bit, what an operator computes; None if there is none."""
    if (
        operator.is_custom
        or operator.op not in ("RESHAPE", "QUANTIZE")
        or not operator.inputs
        or operator.inputs[0] < 0
    ):
        return None
    source, result = operator.inputs[0], graph.tensors[operator.outputs[0]]
    producer = next((o for o in graph.operators if source in o.outputs), None)
    candidates = [source]
    if operator.op == "QUANTIZE" and producer is not None and producer.op == "DEQUANTIZE" and not producer.is_custom:
        candidates.append(producer.inputs[0])
    return next((index for index in candidates if _alike(graph.tensors[index], result)), None)


def _alike(one: Tensor, other: Tensor) -> bool:
    return (
        one.shape == other.shape
        and one.type == other.type
        and _scales(one.quantization) == _scales(other.quantization)
        and not one.is_variable
        and not other.is_variable
    )


def _scales(quantization: Quantization | None) -> tuple[tuple[float, ...], tuple[int, ...]] | None:
    return None if quantization is None else (quantization.scale, quantization.zero_point)


def _bypassed(graph: DraftGraph, operator: Operator, source: int) -> DraftGraph:
    """The graph without `operator`, whose readers read `source` instead."""
    result = operator.outputs[0]
    rest = tuple(o for o in graph.operators if o is not operator)
    if result not in graph.outputs:
        return replace(graph, operators=tuple(_reading(o, result, source) for o in rest))
    # An output of the graph keeps its tensor: whoever made the source writes it directly.
    producer = next((o for o in rest if source in o.outputs), None)
    if producer is None or graph.readers()[source] != 1 or source in graph.inputs or source != operator.inputs[0]:
        return graph
    writing = replace(producer, outputs=tuple(result if index == source else index for index in producer.outputs))
    return replace(graph, operators=tuple(_reading(writing if o is producer else o, source, result) for o in rest))


def _reading(operator: Operator, old: int, new: int) -> Operator:
    if old not in operator.inputs:
        return operator
    return replace(operator, inputs=tuple(new if index == old else index for index in operator.inputs))


def _without_dead(graph: DraftGraph) -> DraftGraph:
    needed = set(graph.outputs)
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if is_stateful(graph, operator) or needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(operator.inputs)
    graph = replace(graph, operators=tuple(reversed(kept)))
    used = graph.used()
    return replace(graph, tensors={index: tensor for index, tensor in graph.tensors.items() if index in used})


def _without_duplicates(graph: DraftGraph) -> DraftGraph:
    """Equal constants become one tensor; equal data in different tensors become one buffer."""
    fixed = {*graph.inputs, *graph.outputs}
    tensors = dict(graph.tensors)
    first: dict[tuple[object, ...], int] = {}
    buffers: dict[bytes, int] = {}
    for index in sorted(graph.tensors):
        tensor = tensors[index]
        if tensor.data is None or tensor.is_variable or index in fixed:
            continue
        content = bytes(tensor.data)
        key = (tensor.type, tensor.shape, tensor.quantization, content)
        same = first.setdefault(key, index)
        if same != index:
            del tensors[index]
            graph = replace(graph, operators=tuple(_reading(o, index, same) for o in graph.operators))
        elif tensor.buffer != NEW_BUFFER:
            tensors[index] = replace(tensor, buffer=buffers.setdefault(content, tensor.buffer))
    return replace(graph, tensors=tensors)
