"""Runs the float graph in torch and the file in LiteRT's reference kernels, and compares every tensor.

The int8 values are those of the runtime and not of a simulation: TFLM computes the same ones (`exporters.parity`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from exporters.compare.result import Comparison, LayerError
from exporters.errors import ExportError
from exporters.execute import Batch, apply, arrays, run
from exporters.graph import Graph, Operator, Quantization
from exporters.quantize.scales import to_int8
from firmware_sim.run.litert import LiteRt

RUNTIME: Final = "LiteRT, reference kernels"

_Array = NDArray[Any]
Values = Mapping[str, _Array]


def compare(
    content: bytes,
    float_graph: Graph,
    graph: Graph,
    batches: Iterable[Batch],
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Int8 against float for every operator.

    Args:
        content: the .tflite file of `graph`.
        float_graph: the graph that was quantised.
        graph: its int8 form.
        batches: arrays [B, H, W, C] as the network takes them, float32; for several inputs one array each.
        progress: called after each example with the number of examples compared so far.

    Raises:
        UsageError: LiteRT is not installed.
        ModelError: LiteRT refuses the file.
        ExportError: no examples, or of another shape or type.
    """
    interpreter = LiteRt(content, keep_tensors=True)
    pairs = [_Layer(op, graph.quantization(op.outputs[0])) for op in float_graph.operators]
    first = _Sums()
    count = agree = 0
    for batch in batches:
        for example in range(len(arrays(batch)[0])):
            given = [array[example : example + 1] for array in arrays(batch)]
            exact = _float_values(float_graph, given)
            interpreter.invoke(*(_integers(graph, n, a) for n, a in zip(graph.inputs, given, strict=True)))
            whole = {name: interpreter.tensor(name) for name in exact}
            real = {name: _real(values, graph.quantization(name)) for name, values in whole.items()}
            for layer in pairs:
                layer.add(float_graph, exact, whole, real)
            name = graph.outputs[0]
            first.add(exact[name], real[name])
            agree += int(np.argmax(exact[name]) == np.argmax(real[name]))
            count += 1
            if progress is not None:
                progress(count)
    if not count:
        raise ExportError("no examples to compare", hint="give a few dozen typical inputs")
    layers = tuple(layer.result(index) for index, layer in enumerate(pairs))
    return Comparison(count, RUNTIME, first.relative_rms(), agree / count, layers)


def _float_values(graph: Graph, example: list[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    values: dict[str, NDArray[np.float32]] = {}
    run(graph, example, lambda name, tensor: values.update({name: tensor.numpy()}))
    return values


def _integers(graph: Graph, name: str, values: NDArray[np.float32]) -> NDArray[np.int8]:
    return to_int8(values, graph.quantization(name))


def _real(values: _Array, quantization: Quantization) -> NDArray[np.float64]:
    """The real numbers that integers stand for."""
    return (values.astype(np.float64) - quantization.zero_point[0]) * quantization.scale[0]


def _double(values: torch.Tensor) -> torch.Tensor:
    """Real numbers in double precision, so that a layer that only moves integers has no error at all."""
    return values.double() if values.is_floating_point() else values


class _Sums:
    """Power of a signal and of what differs from it, value by value."""

    def __init__(self) -> None:
        self.count = 0
        self._total = self._signal = self._noise = 0.0

    def add(self, exact: _Array, real: _Array) -> None:
        exact = exact.astype(np.float64)
        self.count += exact.size
        self._total += float(exact.sum())
        self._signal += float(np.sum(exact**2))
        self._noise += float(np.sum((real - exact) ** 2))

    def sqnr_db(self) -> float | None:
        if self._signal <= 0 or self._noise <= 0:
            return None
        return 10 * math.log10(self._signal / self._noise)

    def relative_rms(self) -> float | None:
        variance = self._signal / self.count - (self._total / self.count) ** 2
        return math.sqrt(self._noise / self.count / variance) if variance > 0 else None


class _Layer:
    """Gathers the figures of one operator."""

    def __init__(self, op: Operator, quantization: Quantization) -> None:
        self._op, self._quantization = op, quantization
        self._whole, self._own = _Sums(), _Sums()
        self._saturated = 0

    def add(self, graph: Graph, exact: Values, integers: Values, real: Values) -> None:
        """One example: float values, integers of the runtime and what these stand for, by tensor."""
        op, name = self._op, self._op.outputs[0]
        self._whole.add(exact[name], real[name])
        inputs = (real[n] if n in real else graph.constant(n) for n in op.inputs if n is not None)
        alone = apply(op, *(_double(torch.as_tensor(array)) for array in inputs)).numpy()
        self._own.add(alone, real[name])
        scale, zero_point = self._quantization.scale[0], self._quantization.zero_point[0]
        steps = exact[name] / scale + zero_point
        beyond = ((integers[name] == -128) & (steps <= -128.5)) | ((integers[name] == 127) & (steps >= 127.5))
        self._saturated += int(beyond.sum())

    def result(self, index: int) -> LayerError:
        """All examples together."""
        op, quantization = self._op, self._quantization
        return LayerError(
            index, op.where, op.op, op.outputs[0], self._whole.sqnr_db(), self._own.sqnr_db(),
            self._whole.relative_rms(), self._saturated / self._whole.count, quantization.scale[0],
            quantization.zero_point[0],
        )  # fmt: skip
