"""Passes from graph to graph: scale and shift merge into convolutions, activations into what produces their input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporters.graph import Graph, Operator, OptionValue, Tensor

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_ACTIVATIONS = ("RELU", "RELU6")
_CARRIES_ACTIVATION = (*_CONVOLUTIONS, "ADD", "SUB", "MUL", "DIV", "AVERAGE_POOL_2D", "MAX_POOL_2D")


def fold(graph: Graph) -> Graph:
    """All passes, in the order in which they help each other."""
    return carry_relu6(fuse_activations(fold_affine(drop_dead(graph)))).check()


def drop_dead(graph: Graph) -> Graph:
    """Without the operators whose results nobody reads."""
    needed, kept = set(graph.outputs), []
    for op in reversed(graph.operators):
        if needed.intersection(op.outputs):
            needed.update(name for name in op.inputs if name is not None)
            kept.append(op)
    return graph.rebuilt(reversed(kept))


def fold_affine(graph: Graph) -> Graph:
    """Merge every per-channel scale and shift (a depthwise 1x1 convolution) into the convolution that feeds it.

    This is what batch normalisation becomes. It needs a convolution without activation whose output nobody else reads.
    """
    position = 0
    while position < len(graph.operators):
        merged = _merge_affine(graph, position)
        if merged is None:
            position += 1
        else:
            graph = merged
    return graph


def _merge_affine(graph: Graph, position: int) -> Graph | None:
    op = graph.operators[position]
    before = _sole_producer(graph, op.inputs[0])
    if before is None or not _is_affine(graph, op) or before.op not in _CONVOLUTIONS:
        return None
    if before.options["fused_activation_function"] != "NONE":
        return None
    scale = _constant(graph, op.inputs[1]).reshape(-1).astype(np.float64)
    shift = _constant(graph, op.inputs[2]).astype(np.float64)
    weight = _constant(graph, before.inputs[1])
    bias = _constant(graph, before.inputs[2])
    # CONV_2D kernels are [O, h, w, I], depthwise ones [1, h, w, O].
    along = scale.reshape(-1, 1, 1, 1) if before.op == "CONV_2D" else scale.reshape(1, 1, 1, -1)
    tensors = (
        Tensor(str(before.inputs[1]), weight.shape, data=np.asarray(weight * along, np.float32)),
        Tensor(str(before.inputs[2]), bias.shape, data=np.asarray(bias * scale + shift, np.float32)),
    )
    joined = _joined(before, op, str(op.options["fused_activation_function"]))
    operators = [joined if o is before else o for o in graph.operators if o is not op]
    return graph.rebuilt(operators, tensors)


def fuse_activations(graph: Graph) -> Graph:
    """Make RELU and RELU6 part of the operator in front of them, where that operator can carry one."""
    for op in [o for o in graph.operators if o.op in _ACTIVATIONS]:
        before = _sole_producer(graph, op.inputs[0])
        if before is None or before.op not in _CARRIES_ACTIVATION:
            continue
        if before.options["fused_activation_function"] != "NONE":
            continue
        joined = _joined(before, op, op.op)
        graph = graph.rebuilt([joined if o is before else o for o in graph.operators if o is not op])
    return graph


def merges(graph: Graph, position: int, before: Operator) -> bool:
    """Whether the operator at `position`, if it alone read the output of `before`, might become a part of it."""
    op = graph.operators[position]
    return before.op in _CARRIES_ACTIVATION and (op.op in _ACTIVATIONS or _is_affine(graph, op))


def carry_relu6(graph: Graph) -> Graph:
    """Give every RELU6 that stands alone to a depthwise 1x1 convolution of ones, so that its output has a scale of its own.

    TFLM's kernel only clips and leaves the scale as it is, LiteRT's rescales (lite/micro/kernels/activations.cc,
    lite/kernels/activations.cc): alone it would have to keep the scale of its input, most of which it cuts off.
    """
    for op in [o for o in graph.operators if o.op == "RELU6" and len(graph.tensors[o.outputs[0]].shape) == 4]:
        identity, constants = rescaling(op.inputs[0], graph.tensors[op.outputs[0]], op.where)
        carrier = identity.with_options(fused_activation_function="RELU6")
        graph = graph.rebuilt([carrier if o is op else o for o in graph.operators], constants)
    return graph


def rescaling(source: str | None, output: Tensor, where: str) -> tuple[Operator, tuple[Tensor, Tensor]]:
    """A depthwise 1x1 convolution of ones from `source` to `output` [1, H, W, C], and its constants."""
    channels = output.shape[-1]
    weight = Tensor(f"{output.name}/one", (1, 1, 1, channels), data=np.ones((1, 1, 1, channels), np.float32))
    bias = Tensor(f"{output.name}/zero", (channels,), data=np.zeros(channels, np.float32))
    options: dict[str, OptionValue] = {
        "padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1,
        "depth_multiplier": 1, "fused_activation_function": "NONE",
    }  # fmt: skip
    inputs = (source, weight.name, bias.name)
    return Operator("DEPTHWISE_CONV_2D", inputs, (output.name,), options, where), (weight, bias)


def _sole_producer(graph: Graph, name: str | None) -> Operator | None:
    """The operator that writes `name`, if exactly one operator reads it and it is no output of the graph."""
    if name is None or name in graph.outputs or len(graph.consumers().get(name, ())) != 1:
        return None
    index = graph.producers().get(name)
    return None if index is None else graph.operators[index]


def _is_affine(graph: Graph, op: Operator) -> bool:
    """Whether it scales and shifts each channel; with a single channel that is a CONV_2D."""
    if op.op not in _CONVOLUTIONS or op.options.get("depth_multiplier", 1) != 1:
        return False
    shape = _constant(graph, op.inputs[1]).shape
    unit_stride = op.options["stride_h"] == op.options["stride_w"] == 1
    return unit_stride and shape[:3] == (1, 1, 1) and (op.op == "DEPTHWISE_CONV_2D" or shape[3] == 1)


def _joined(before: Operator, op: Operator, activation: str) -> Operator:
    """`before`, ending in `activation` and writing what `op` wrote."""
    return replace(before.with_options(fused_activation_function=activation), outputs=op.outputs)


def _constant(graph: Graph, name: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    data = graph.constant(name)
    assert data is not None, f"{name} is a constant"
    return data
