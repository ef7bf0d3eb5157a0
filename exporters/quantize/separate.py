"""Keeps tensors whose scale somebody dictates apart from operators that need another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from exporters import fold
from exporters.graph import Graph, Operator, Quantization, Tensor
from exporters.operators import KINDS
from exporters.quantize.scales import CURVES, rounds_clearly


def separate(graph: Graph, input_quantization: Quantization | None) -> Graph:
    """The float graph with a rescaling wherever an operator cannot read a dictated scale.

    The output of a sigmoid or a softmax has a dictated scale, and so has an input for which the caller gives one. A
    concatenation copies integers: mixed with others in one, such a tensor would clip the others to its range. A sigmoid or a
    tanh may round differently in TFLM and LiteRT under a scale that nobody may nudge.

    Args:
        graph: float graph.
        input_quantization: the quantisation of the graph's inputs, if the caller dictates it.
    """
    dictated = {} if input_quantization is None else dict.fromkeys(graph.inputs, input_quantization)
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    for op in graph.operators:
        kind = KINDS[op.op]
        if kind.rule == "same" or op.op in CURVES:
            computed = [str(name) for name in op.inputs if graph.constant(name) is None]
            scales = {dictated.get(name) for name in computed}
            doubtful = not all(q is None or rounds_clearly(op.op, q) for q in scales)
            if doubtful or (kind.rule == "same" and len(scales) > 1):
                op, steps, added = _rescaled(graph, op, [name for name in dict.fromkeys(computed) if name in dictated])
                operators += steps
                tensors += added
            elif kind.rule == "same":
                dictated.update((op.outputs[0], q) for q in scales if q is not None)
        if kind.output is not None:
            dictated[op.outputs[0]] = kind.output
        operators.append(op)
    return graph.rebuilt(operators, tensors)


def _rescaled(graph: Graph, op: Operator, names: Iterable[str]) -> tuple[Operator, list[Operator], list[Tensor]]:
    """`op` reading copies of these inputs, the operators that make the copies, and their tensors."""
    steps: list[Operator] = []
    tensors: list[Tensor] = []
    copies: dict[str | None, str] = {}
    for name in names:
        copy = Tensor(f"{op.outputs[0]}/from_{len(copies)}", graph.tensors[name].shape)
        step, constants = fold.rescaling(name, copy, op.where)
        steps.append(step)
        tensors += [copy, *constants]
        copies[name] = copy.name
    return replace(op, inputs=tuple(copies.get(name, name) for name in op.inputs)), steps, tensors
