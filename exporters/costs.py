"""What a graph costs to compute and to store."""

from __future__ import annotations

import math

from exporters.graph import Graph, Operator


def macs(graph: Graph) -> int:
    """Multiply-accumulate operations of one inference: convolutions and matrix products, as papers count them."""
    return sum(_macs(graph, op) for op in graph.operators)


def parameters(graph: Graph) -> int:
    """Constants that the operators carry (weights, biases, positions), normalisation folded in."""
    return sum(t.data.size for t in graph.tensors.values() if t.data is not None and t.dtype != "int32")


def _macs(graph: Graph, op: Operator) -> int:
    outputs = math.prod(graph.tensors[op.outputs[0]].shape)
    if op.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        kernel = graph.tensors[str(op.inputs[1])].shape
        # CONV_2D kernels are [O, h, w, I], depthwise ones [1, h, w, O].
        return outputs * (math.prod(kernel[1:]) if op.op == "CONV_2D" else kernel[1] * kernel[2])
    if op.op == "BATCH_MATMUL":
        return outputs * graph.tensors[str(op.inputs[0])].shape[-1]
    return 0
