"""Replaces every float tensor of a graph by an int8 (or int32) one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from exporters.errors import ExportError
from exporters.graph import Graph, Operator, Quantization, Tensor
from exporters.operators import KINDS
from exporters.quantize.exact import COARSER, OPERATORS, constraints_of, exact_scales
from exporters.quantize.groups import share_groups
from exporters.quantize.scales import CURVES, SATURATED, asymmetric, rounds_clearly, to_int8, weight_and_bias
from exporters.quantize.span import Range

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
# LiteRT refuses a HARD_SWISH whose output is 128 times finer than its input (lite/kernels/activations.cc,
# output_multiplier_exponent <= 0); half of that, because an exact scale may later make the input coarser.
_HARD_SWISH_RATIO = 64
_COARSEST = 8.0  # of what a sigmoid or a tanh reads; see `rounds_clearly`
_WIDEST = 255.0  # a scale of 1


def quantize(graph: Graph, ranges: Mapping[str, Range], *, input_quantization: Quantization | None = None) -> Graph:
    """The int8 form of a float graph: int8 in, int8 out, no float tensor left.

    Args:
        graph: float graph, from `exporters.trace.trace`.
        ranges: range of each computed tensor, from `observe`.
        input_quantization: scale and zero point of the graph's input where the caller's data dictate them (pixels);
            otherwise they follow from the input's range.

    Raises:
        ExportError: two tensors that must share a scale have different fixed ones; a weight is not finite.
    """
    scales = _activation_scales(graph, ranges, input_quantization)
    computed = {name: q for name, q in scales.items() if graph.tensors[name].data is None}
    tensors = {name: replace(graph.tensors[name], dtype="int8", quantization=q) for name, q in computed.items()}
    for op in graph.operators:
        if op.op in _CONVOLUTIONS:
            tensors.update((t.name, t) for t in _quantized_kernel(graph, op, scales))
        else:
            tensors.update((t.name, t) for t in _quantized_constants(graph, op, scales))
    return graph.rebuilt(graph.operators, tensors.values()).check()


def _activation_scales(
    graph: Graph, ranges: Mapping[str, Range], input_quantization: Quantization | None
) -> dict[str, Quantization]:
    """Quantisation of every computed tensor, and of the constants that MUL and DIV read."""
    constants = {
        name: _span_of(graph.tensors[name])
        for op in graph.operators
        if op.op in OPERATORS
        for name in op.inputs
        if name is not None and graph.tensors[name].data is not None
    }
    groups = {**share_groups(graph), **{name: name for name in constants}}
    spans: dict[str, Range] = {}
    for name, group in groups.items():
        span = constants[name] if name in constants else ranges[name]
        spans[group] = spans[group].union(span) if group in spans else span
    for group in _only_curves(graph, groups):
        if spans[group].high - spans[group].low > _WIDEST:
            spans[group] = Range(max(spans[group].low, -SATURATED), min(spans[group].high, SATURATED))
    fixed: dict[str, Quantization] = {}
    kinds = [(op, KINDS[op.op].output) for op in graph.operators]
    claims = [(op.outputs[0], output, op.where) for op, output in kinds if output is not None]
    if input_quantization is not None:
        claims += [(name, input_quantization, name) for name in graph.inputs]
    for name, wanted, where in claims:
        known = fixed.setdefault(groups[name], wanted)
        if known != wanted:
            raise ExportError(
                f"{name} must have scale {wanted.scale[0]:g} and zero point {wanted.zero_point[0]}, but shares its "
                f"integers with a tensor of scale {known.scale[0]:g} and zero point {known.zero_point[0]}",
                where=where,
                hint="put an operator that rescales (a 1x1 convolution, a product) between them",
            )
    chosen = {**fixed, **_free_scales(graph, groups, spans, fixed)}
    return {name: chosen[group] for name, group in groups.items()}


def _free_scales(
    graph: Graph, groups: Mapping[str, str], spans: Mapping[str, Range], fixed: Mapping[str, Quantization]
) -> dict[str, Quantization]:
    """Scales that follow from ranges, a little coarser where TFLM and LiteRT would otherwise disagree or refuse."""
    free = {group: asymmetric(span) for group, span in spans.items() if group not in fixed}
    for op in graph.operators:
        if op.op == "HARD_SWISH" and (group := groups[op.outputs[0]]) in free:
            source = {**fixed, **free}[groups[str(op.inputs[0])]]
            least = source.scale[0] / _HARD_SWISH_RATIO
            free[group] = asymmetric(spans[group], max(free[group].scale[0], least))
    curves = {(groups[str(op.inputs[0])], op.op) for op in graph.operators if op.op in CURVES}

    def acceptable(group: str, scale: float) -> bool:
        return all(rounds_clearly(op, asymmetric(spans[group], scale)) for read, op in curves if read == group)

    finest = {group: q.scale[0] for group, q in free.items()}
    given = {group: q.scale[0] for group, q in fixed.items()}
    exact = exact_scales(constraints_of(graph, groups), finest, given, acceptable)
    for group in free:
        scale = exact.get(group, finest[group])
        while not acceptable(group, scale):
            scale = float(np.float32(scale * COARSER))
            if scale > _COARSEST:
                raise _too_wide(graph, groups, group, spans[group])
        free[group] = asymmetric(spans[group], scale)
    return free


def _only_curves(graph: Graph, groups: Mapping[str, str]) -> set[str]:
    """Groups of one tensor that nothing reads but operators which saturate."""
    members = Counter(groups.values())
    found = {groups[str(op.inputs[0])] for op in graph.operators if op.op in CURVES}
    others = {groups.get(str(name)) for op in graph.operators if op.op not in CURVES for name in op.inputs}
    return {group for group in found - others if members[group] == 1 and group not in graph.outputs}


def _too_wide(graph: Graph, groups: Mapping[str, str], group: str, span: Range) -> ExportError:
    (first, *_) = (op for op in graph.operators if op.op in CURVES and groups[str(op.inputs[0])] == group)
    kind = "sigmoid" if first.op == "LOGISTIC" else "tanh"
    return ExportError(
        f"a {kind} of values from {span.low:.3g} to {span.high:.3g} that something else reads too: the steps of int8 are so "
        "large that TFLM takes zero for saturated",
        where=first.where or "the network",
        hint="put a normalisation in front of it, or use Hardswish or Hardsigmoid",
    )


def _quantized_kernel(graph: Graph, op: Operator, scales: Mapping[str, Quantization]) -> list[Tensor]:
    x, kernel, offsets = (str(name) for name in op.inputs)
    weight, bias = graph.tensors[kernel].data, graph.tensors[offsets].data
    assert weight is not None
    assert bias is not None
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ExportError("a weight is NaN or infinite", where=op.where, hint="train again, or load another checkpoint")
    dimension = 0 if op.op == "CONV_2D" else 3
    integers, weight_q, integer_bias, bias_q = weight_and_bias(weight, bias, scales[x].scale[0], dimension)
    return [
        Tensor(kernel, weight.shape, "int8", integers, weight_q, graph.tensors[kernel].fixed),
        Tensor(offsets, bias.shape, "int32", integer_bias, bias_q),
    ]


def _quantized_constants(graph: Graph, op: Operator, scales: Mapping[str, Quantization]) -> list[Tensor]:
    """Float constants of operators without a kernel (a learned position, a factor): int8 over their own range."""
    result = []
    for name in op.inputs:
        tensor = graph.tensors[name] if name is not None else None
        if tensor is None or tensor.data is None or tensor.dtype != "float32":
            continue
        if not np.isfinite(tensor.data).all():
            raise ExportError(f"the constant {tensor.name} is NaN or infinite", where=op.where)
        scale = scales.get(tensor.name) or asymmetric(_span_of(tensor))
        result.append(Tensor(tensor.name, tensor.shape, "int8", to_int8(tensor.data, scale), scale))
    return result


def _span_of(constant: Tensor) -> Range:
    assert constant.data is not None
    return Range(min(0.0, float(constant.data.min())), max(0.0, float(constant.data.max())))
