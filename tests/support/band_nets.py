"""Small int8 or int16 networks of layers that work row by row, with random weights: what bands are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from support.tflite_files import Graph, Op, T, tflite

from firmware_sim.schema import ACTIVATION, PADDING


class Layer(NamedTuple):
    """One of "conv", "dw", "max", "avg", "pad", "relu", "block" (1x1, depthwise, 1x1 and a residual)."""

    kind: str
    kernel: int = 1
    stride: int = 1
    channels: int = 4
    padding: str = "SAME"
    dilation: int = 1


BOTTLENECKS = [
    Layer("conv", 3, 2, 8),
    Layer("dw", 3),
    Layer("conv", 1, 1, 24),
    Layer("dw", 3, 2),
    Layer("conv", 1, 1, 8),
    Layer("block", 3),
    Layer("conv", 3, 2, 8),
]
"""As a MobileNet begins."""


class _Net:
    def __init__(self, height: int, width: int, channels: int, seed: int, type: str) -> None:
        self.random = np.random.default_rng(seed)
        self.type = type
        self.zero = [3 if type == "INT8" else 0]
        self.tensors = [T([1, height, width, channels], type, name="image", zero_point=self.zero)]
        self.operators: list[Op] = []

    def add(self, tensor: T) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, values: Any, type: str, scale: Sequence[float], dimension: int = 0) -> int:
        data = np.asarray(values)
        return self.add(T(list(data.shape), type, data.tobytes(), scale=scale, dimension=dimension))

    def shape(self, index: int) -> list[int]:
        return list(self.tensors[index].shape)

    def result(self, height: int, width: int, channels: int) -> int:
        name = f"map{len(self.tensors)}"
        return self.add(T([1, height, width, channels], self.type, name=name, zero_point=self.zero))

    def layer(self, source: int, layer: Layer) -> int:
        if layer.kind == "block":
            inner = source
            for part in (
                Layer("conv", channels=6),
                Layer("dw", layer.kernel),
                Layer("conv", channels=self.shape(source)[3]),
            ):
                inner = self.layer(inner, part)
            output = self.result(*self.shape(source)[1:])
            self.operators.append(Op("ADD", [source, inner], [output], ("AddOptions", {})))
            return output
        return getattr(self, layer.kind)(source, layer)  # type: ignore[no-any-return]

    def weighted(self, source: int, layer: Layer, op: str, channels: int, shape: list[int], options: Any) -> int:
        dimension = 0 if op == "CONV_2D" else 3
        taps = int(np.prod(shape)) // channels
        scale = [float(1 / (20 * taps**0.5))] * channels
        weights = self.constant(self.random.integers(-60, 61, shape).astype(np.int8), "INT8", scale, dimension)
        kind = "INT32" if self.type == "INT8" else "INT64"
        values = self.random.integers(-50, 51, channels).astype(kind.lower())
        bias = self.constant(values, kind, [0.5 * one for one in scale])
        output = self.result(*(self.after(source, layer, axis) for axis in (1, 2)), channels)
        self.operators.append(Op(op, [source, weights, bias], [output], options))
        return output

    def after(self, source: int, layer: Layer, axis: int) -> int:
        size = self.shape(source)[axis]
        if layer.padding == "SAME":
            return -(-size // layer.stride)
        return (size - (layer.kernel - 1) * layer.dilation - 1) // layer.stride + 1

    def steps(self, layer: Layer) -> dict[str, int]:
        return {"padding": PADDING[layer.padding], "stride_w": layer.stride, "stride_h": layer.stride}

    def dilated(self, layer: Layer) -> dict[str, int]:
        return {**self.steps(layer), "dilation_w_factor": layer.dilation, "dilation_h_factor": layer.dilation}

    def conv(self, source: int, layer: Layer) -> int:
        shape = [layer.channels, layer.kernel, layer.kernel, self.shape(source)[3]]
        return self.weighted(source, layer, "CONV_2D", layer.channels, shape, ("Conv2DOptions", self.dilated(layer)))

    def dw(self, source: int, layer: Layer) -> int:
        channels = self.shape(source)[3]
        options = "DepthwiseConv2DOptions", {**self.dilated(layer), "depth_multiplier": 1}
        shape = [1, layer.kernel, layer.kernel, channels]
        return self.weighted(source, layer, "DEPTHWISE_CONV_2D", channels, shape, options)

    def pool(self, source: int, layer: Layer, op: str) -> int:
        output = self.result(*(self.after(source, layer, axis) for axis in (1, 2)), self.shape(source)[3])
        options = {
            **self.steps(layer), "filter_width": layer.kernel, "filter_height": layer.kernel,
            "fused_activation_function": ACTIVATION["NONE"],
        }  # fmt: skip
        self.operators.append(Op(op, [source], [output], ("Pool2DOptions", options)))
        return output

    def max(self, source: int, layer: Layer) -> int:
        return self.pool(source, layer, "MAX_POOL_2D")

    def avg(self, source: int, layer: Layer) -> int:
        return self.pool(source, layer, "AVERAGE_POOL_2D")

    def relu(self, source: int, layer: Layer) -> int:
        output = self.result(*self.shape(source)[1:])
        self.operators.append(Op("RELU", [source], [output]))
        return output

    def pad(self, source: int, layer: Layer) -> int:
        _, height, width, channels = self.shape(source)
        around = layer.kernel
        paddings = self.constant(np.array([[0, 0], [around, around], [1, 0], [0, 0]], np.int32), "INT32", ())
        output = self.result(height + 2 * around, width + 1, channels)
        self.operators.append(Op("PAD", [source, paddings], [output]))
        return output


def network(
    layers: Sequence[Layer], *, height: int = 16, width: int = 6, channels: int = 3, seed: int = 0, type: str = "INT8"
) -> bytes:
    """The file of a chain of layers from [1, height, width, channels] on; INT16 has weights of int8 all the same."""
    net = _Net(height, width, channels, seed, type)
    last = 0
    for layer in layers:
        last = net.layer(last, layer)
    return tflite(Graph(net.tensors, net.operators, inputs=[0], outputs=[last]))
