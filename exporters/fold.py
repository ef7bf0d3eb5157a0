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
    return carry_relu6(join(drop_dead(graph))).check()


def join(graph: Graph) -> Graph:
    """The passes that make one operator of two, one of which alone reads the other."""
    return fuse_activations(fold_affine(graph))


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
    line = _Line(graph)
    for op in graph.operators:
        before = line.only_read_here(op.inputs[0])
        if before is None or not (_is_affine(graph, op) and before.op in _CONVOLUTIONS and _has_no_activation(before)):
            line.append(op)
            continue
        weight, bias = (str(name) for name in before.inputs[1:])
        scale = _constant(graph, op.inputs[1]).reshape(-1).astype(np.float64)
        shift = _constant(graph, op.inputs[2]).astype(np.float64)
        # CONV_2D kernels are [O, h, w, I], depthwise ones [1, h, w, O].
        along = scale.reshape(-1, 1, 1, 1) if before.op == "CONV_2D" else scale.reshape(1, 1, 1, -1)
        for name, values in ((weight, line.value(weight) * along), (bias, line.value(bias) * scale + shift)):
            line.changed[name] = Tensor(name, values.shape, data=np.asarray(values, np.float32))
        line.join(before, op, str(op.options["fused_activation_function"]))
    return line.graph()


def fuse_activations(graph: Graph) -> Graph:
    """Make RELU and RELU6 part of the operator in front of them, where that operator can carry one."""
    line = _Line(graph)
    for op in graph.operators:
        before = line.only_read_here(op.inputs[0]) if op.op in _ACTIVATIONS else None
        if before is not None and before.op in _CARRIES_ACTIVATION and _has_no_activation(before):
            line.join(before, op, op.op)
        else:
            line.append(op)
    return line.graph()


class _Line:
    """The operators of a graph while some of them are joined to the one in front."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers = graph.consumers()
        self._operators: list[Operator] = []
        self._place: dict[str, int] = {}
        self.changed: dict[str, Tensor] = {}

    def only_read_here(self, name: str | None) -> Operator | None:
        """The operator that writes `name`, if exactly one operator reads it and it is no output of the graph."""
        if name is None or name in self._graph.outputs or len(self._readers.get(name, ())) != 1:
            return None
        place = self._place.get(name)
        return None if place is None else self._operators[place]

    def value(self, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """A constant as it is after the joins so far."""
        return _constant(self._graph, name) if name not in self.changed else np.asarray(self.changed[name].data)

    def append(self, op: Operator) -> None:
        self._operators.append(op)
        self._place.update(dict.fromkeys(op.outputs, len(self._operators) - 1))

    def join(self, before: Operator, op: Operator, activation: str) -> None:
        """`before` ends in `activation` and writes what `op` wrote."""
        place = self._place.pop(before.outputs[0])
        self._operators[place] = replace(before.with_options(fused_activation_function=activation), outputs=op.outputs)
        self._place[op.outputs[0]] = place

    def graph(self) -> Graph:
        return self._graph.rebuilt(self._operators, self.changed.values())


def merges(graph: Graph, position: int, before: Operator) -> bool:
    """Whether the operator at `position`, if it alone read the output of `before`, might become a part of it."""
    return before.op in _CARRIES_ACTIVATION and joins(graph, position)


def joins(graph: Graph, position: int) -> bool:
    """Whether the operator at `position` might become a part of one in front of it."""
    op = graph.operators[position]
    return op.op in _ACTIVATIONS or _is_affine(graph, op)


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
    weight = Tensor(
        f"{output.name}/one", (1, 1, 1, channels), data=np.ones((1, 1, 1, channels), np.float32), fixed=True
    )
    bias = Tensor(f"{output.name}/zero", (channels,), data=np.zeros(channels, np.float32))
    options: dict[str, OptionValue] = {
        "padding": "VALID", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1,
        "depth_multiplier": 1, "fused_activation_function": "NONE",
    }  # fmt: skip
    inputs = (source, weight.name, bias.name)
    return Operator("DEPTHWISE_CONV_2D", inputs, (output.name,), options, where), (weight, bias)


def _has_no_activation(op: Operator) -> bool:
    return op.options["fused_activation_function"] == "NONE"


def _is_affine(graph: Graph, op: Operator) -> bool:
    """Whether it scales and shifts each channel; with a single channel that is a CONV_2D."""
    if op.op not in _CONVOLUTIONS or op.options.get("depth_multiplier", 1) != 1:
        return False
    shape = _constant(graph, op.inputs[1]).shape
    unit_stride = op.options["stride_h"] == op.options["stride_w"] == 1
    return unit_stride and shape[:3] == (1, 1, 1) and (op.op == "DEPTHWISE_CONV_2D" or shape[3] == 1)


def _constant(graph: Graph, name: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    data = graph.constant(name)
    assert data is not None, f"{name} is a constant"
    return data
