"""The int8 graph as an ONNX file with QuantizeLinear and DequantizeLinear, for the tools of vendors that take ONNX.

Every tensor has the scale and zero point that it has in the .tflite, every weight the same integers. Input and output are
real numbers, [batch, C, H, W]; the first and the last pair of the file quantise and dequantise them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.graph import Graph, Operator, Tensor
from exporters.lower.padding import Window
from exporters.onnx import OPSET, need, session
from firmware_sim.run.litert import LiteRt

TOLERANCE: Final = 16.0
"""Largest root mean square of the distance from the .tflite that is accepted, in steps of the output (of 256).

onnxruntime rounds products in another way than TFLite's kernels, and each layer passes the difference on: up to two steps in
plain networks with random weights, up to ten in such with attention.
"""

_IR_VERSION: Final = 8  # of opset 18 (onnx/docs/Versioning.md)
_AXES: Final = {0: 0, 1: 2, 2: 3, 3: 1}  # from [N, H, W, C] to [N, C, H, W]
_TO_NCHW: Final = (0, 3, 1, 2)
_TO_NHWC: Final = (0, 2, 3, 1)
_SIMPLE: Final[Mapping[str, str]] = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "HARD_SWISH": "HardSwish", "LOGISTIC": "Sigmoid",
    "RELU": "Relu", "TANH": "Tanh",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Agreement:
    """Distance of the outputs from those of the .tflite in LiteRT's reference kernels, in steps of the output's scale.

    `equal` is the share of outputs that are the same integer, `same_class` the share of examples whose largest output is
    the same one.
    """

    examples: int
    equal: float
    rms_steps: float
    largest_steps: int
    same_class: float


def build(graph: Graph, *, dynamic_batch: bool = True) -> bytes:
    """The ONNX file of an int8 graph.

    Args:
        graph: quantised, from `exporters.quantize.quantize`.
        dynamic_batch: leave the first axis free; otherwise the file takes one example at a time.

    Raises:
        UsageError: the extra `export` is not installed.
        ExportError: an operator that has no ONNX form here.
    """
    need()
    import onnx

    model = _Writer(graph).model("batch" if dynamic_batch else 1)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def agreement(content: bytes, tflite: bytes, graph: Graph, inputs: NDArray[np.int8]) -> Agreement:
    """Run both on the same inputs [B, H, W, C], the integers of the .tflite.

    Raises:
        UsageError: a runtime is not installed.
        ExportError: they are further apart than `TOLERANCE`.
    """
    source, result = (graph.tensors[names[0]].quantization for names in (graph.inputs, graph.outputs))
    assert source is not None
    assert result is not None
    reference = LiteRt(tflite)
    runtime = session(content, as_written=True)
    name = runtime.get_inputs()[0].name
    theirs, ours = [], []
    for example in inputs:
        real = (example.astype(np.float32) - source.zero_point[0]) * np.float32(source.scale[0])
        (output, *_) = runtime.run(None, {name: np.ascontiguousarray(real.transpose(2, 0, 1)[None])})
        theirs.append(np.rint(output / result.scale[0]).astype(int).reshape(-1) + result.zero_point[0])
        (integers, *_) = reference.invoke(example[None])
        # A map is [N, H, W, C] there and [N, C, H, W] here.
        ours.append((integers.transpose(_TO_NCHW) if integers.ndim == 4 else integers).astype(int).reshape(-1))
    difference = np.abs(np.stack(theirs) - np.stack(ours))
    found = Agreement(
        len(inputs),
        float((difference == 0).mean()),
        float(np.sqrt((difference**2).mean())),
        int(difference.max()),
        float(np.mean([a.argmax() == b.argmax() for a, b in zip(theirs, ours, strict=True)])),
    )
    if found.rms_steps > TOLERANCE:
        raise ExportError(
            f"onnxruntime is {found.rms_steps:.2f} steps (root mean square) away from the int8 TFLite, more "
            f"than {TOLERANCE:g}",
            hint="please report it with the network",
        )
    return found


class _Writer:
    """Writes the operators in order; every name of a tensor stands for its dequantised values."""

    def __init__(self, graph: Graph) -> None:
        import onnx

        self._helper = onnx.helper
        self._types = onnx.TensorProto
        self.graph = graph
        self.nodes: list[Any] = []
        self.initialisers: list[Any] = []

    def model(self, batch: str | int) -> Any:
        helper, kinds = self._helper, self._types
        inputs, outputs = [], []
        for name in self.graph.inputs:
            tensor = self.graph.tensors[name]
            _, h, w, c = tensor.shape
            inputs.append(helper.make_tensor_value_info(f"{name}/real", kinds.FLOAT, [batch, c, h, w]))
            self.round(tensor, f"{name}/real")
        for op in self.graph.operators:
            self.operator(op)
        for name in self.graph.outputs:
            shape = self.graph.tensors[name].shape
            vector = len(shape) == 4 and shape[1:3] == (1, 1)
            last = self.add("Flatten" if vector else "Identity", [name])
            extents = (
                [shape[3]] if vector else [shape[_TO_NCHW[i]] for i in (1, 2, 3)] if len(shape) == 4 else shape[1:]
            )
            outputs.append(helper.make_tensor_value_info(last, kinds.FLOAT, [batch, *extents]))
        body = helper.make_graph(self.nodes, "main", inputs, outputs, self.initialisers)
        imports = [helper.make_opsetid("", OPSET)]
        return helper.make_model(body, opset_imports=imports, ir_version=_IR_VERSION, producer_name="sapool")

    # ---- pieces -------------------------------------------------------------------------------------------------

    def add(self, kind: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(
            self._helper.make_node(kind, list(inputs), [name], name=f"node_{len(self.nodes)}", **attributes)
        )
        return name

    def constant(self, values: NDArray[Any]) -> str:
        name = f"constant_{len(self.initialisers)}"
        kind = self._helper.np_dtype_to_tensor_dtype(values.dtype)
        self.initialisers.append(
            self._helper.make_tensor(name, kind, values.shape, np.ascontiguousarray(values).tobytes(), raw=True)
        )
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.asarray(values, np.int64))

    def round(self, tensor: Tensor, real: str) -> None:
        """`real` as the integers of `tensor` and back, under the tensor's name."""
        q = tensor.quantization
        assert q is not None
        scale, zero = self.constant(np.float32(q.scale[0])[...]), self.constant(np.int8(q.zero_point[0])[...])
        stored = self.add("QuantizeLinear", [real, scale, zero])
        self.add("DequantizeLinear", [stored, scale, zero], tensor.name)

    def stored(self, name: str, values: NDArray[Any]) -> str:
        """A constant in integers, dequantised; channels first."""
        q = self.graph.tensors[name].quantization
        assert q is not None
        each = len(q.scale) > 1
        scale = np.asarray(q.scale if each else q.scale[0], np.float32)
        zero = np.asarray(q.zero_point if each else q.zero_point[0], values.dtype)
        inputs = [self.constant(values), self.constant(scale), self.constant(zero)]
        return self.add("DequantizeLinear", inputs, axis=0) if each else self.add("DequantizeLinear", inputs)

    def value(self, name: str) -> str:
        """An input of an operator: computed, or a constant."""
        data = self.graph.tensors[name].data
        if data is None:
            return name
        return self.stored(name, data.transpose(_TO_NCHW) if data.ndim == 4 else data)

    def rows(self, name: str) -> str:
        """A tensor as TFLite sees it, channels last."""
        return self.add("Transpose", [name], perm=_TO_NHWC) if len(self.graph.tensors[name].shape) == 4 else name

    def columns(self, name: str, like: Tensor) -> str:
        return self.add("Transpose", [name], perm=_TO_NCHW) if len(like.shape) == 4 else name

    # ---- operators ----------------------------------------------------------------------------------------------

    def operator(self, op: Operator) -> None:
        output = self.graph.tensors[op.outputs[0]]
        if op.op in _SIMPLE:
            real = self.add(_SIMPLE[op.op], [self.value(str(name)) for name in op.inputs])
        elif op.op in _OPERATORS:
            real = _OPERATORS[op.op](self, op)
        else:
            raise ExportError(f"{op.op} has no ONNX form here", where=op.where, hint="use --target onnx")
        activation = op.options.get("fused_activation_function", "NONE")
        if activation == "RELU":
            real = self.add("Relu", [real])
        elif activation == "RELU6":
            real = self.clip6(real)
        self.round(output, real)

    def clip6(self, real: str) -> str:
        return self.add("Clip", [real, self.constant(np.float32(0)[...]), self.constant(np.float32(6)[...])])

    def convolution(self, op: Operator) -> str:
        source, kernel, offsets = (str(name) for name in op.inputs)
        weight, bias = self.graph.tensors[kernel].data, self.graph.tensors[offsets].data
        assert weight is not None
        assert bias is not None
        channels = self.graph.tensors[source].shape[3]
        depthwise = op.op == "DEPTHWISE_CONV_2D"
        weight = weight.transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        attributes = self.window(op, (weight.shape[2], weight.shape[3]))
        groups = channels if depthwise else channels // weight.shape[1]
        inputs = [source, self.stored(kernel, weight), self.stored(offsets, bias)]
        return self.add("Conv", inputs, group=groups, **attributes)

    def pool(self, op: Operator) -> str:
        kernel = (int(op.options["filter_height"]), int(op.options["filter_width"]))  # type: ignore[arg-type]
        kind = "MaxPool" if op.op == "MAX_POOL_2D" else "AveragePool"
        return self.add(kind, [str(op.inputs[0])], **self.window(op, kernel))

    def window(self, op: Operator, kernel: tuple[int, int]) -> dict[str, Any]:
        """Strides, dilations and explicit padding of a window."""
        extents = self.graph.tensors[str(op.inputs[0])].shape[1:3]
        strides = [int(op.options[f"stride_{axis}"]) for axis in "hw"]  # type: ignore[arg-type]
        dilations = [int(op.options.get(f"dilation_{axis}_factor", 1)) for axis in "hw"]  # type: ignore[arg-type]
        totals = [0, 0]
        if op.options["padding"] == "SAME":
            windows = map(Window, extents, kernel, strides, dilations)
            totals = [window.same_total for window in windows]
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
        found = {"kernel_shape": list(kernel), "strides": strides, "pads": pads}
        return {**found, "dilations": dilations} if dilations != [1, 1] else found

    def softmax(self, op: Operator) -> str:
        axis = 1 if len(self.graph.tensors[op.outputs[0]].shape) == 4 else -1
        return self.add("Softmax" if op.op == "SOFTMAX" else "LogSoftmax", [str(op.inputs[0])], axis=axis)

    def leaky_relu(self, op: Operator) -> str:
        return self.add("LeakyRelu", [str(op.inputs[0])], alpha=float(op.options["alpha"]))  # type: ignore[arg-type]

    def concatenation(self, op: Operator) -> str:
        return self.add("Concat", [str(name) for name in op.inputs], axis=_AXES[int(op.options["axis"])])  # type: ignore[arg-type]

    def slice(self, op: Operator) -> str:
        source, begin, extent = (str(name) for name in op.inputs)
        starts, sizes = ([int(n) for n in np.asarray(self.graph.constant(name))[1:]] for name in (begin, extent))
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        axes = self.integers(*(_AXES[axis] for axis in (1, 2, 3)))
        return self.add("Slice", [source, self.integers(*starts), self.integers(*ends), axes])

    def mirror_pad(self, op: Operator) -> str:
        pairs = np.asarray(self.graph.constant(op.inputs[1])).tolist()
        amounts = [pairs[axis][end] for end in (0, 1) for axis in _TO_NCHW]
        return self.add("Pad", [str(op.inputs[0]), self.integers(*amounts)], mode="reflect")

    def resize(self, op: Operator) -> str:
        source, output = self.graph.tensors[str(op.inputs[0])].shape, self.graph.tensors[op.outputs[0]].shape
        factors = np.asarray([1, 1, output[1] / source[1], output[2] / source[2]], np.float32)
        return self.add(
            "Resize", [str(op.inputs[0]), "", self.constant(factors)],
            mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip

    def reshape(self, op: Operator) -> str:
        output = self.graph.tensors[op.outputs[0]]
        # A zero copies the extent of the batch.
        moved = self.add("Reshape", [self.rows(str(op.inputs[0])), self.integers(0, *output.shape[1:])])
        return self.columns(moved, output)

    def matmul(self, op: Operator) -> str:
        first, second = (str(name) for name in op.inputs)
        right = self.rows(second)
        if op.options["adj_y"]:
            rank = len(self.graph.tensors[second].shape)
            right = self.add("Transpose", [right], perm=[*range(rank - 2), rank - 1, rank - 2])
        return self.columns(self.add("MatMul", [self.rows(first), right]), self.graph.tensors[op.outputs[0]])


_OPERATORS: Final[Mapping[str, Callable[[_Writer, Operator], str]]] = {
    "AVERAGE_POOL_2D": _Writer.pool,
    "BATCH_MATMUL": _Writer.matmul,
    "CONCATENATION": _Writer.concatenation,
    "CONV_2D": _Writer.convolution,
    "DEPTHWISE_CONV_2D": _Writer.convolution,
    "LEAKY_RELU": _Writer.leaky_relu,
    "LOG_SOFTMAX": _Writer.softmax,
    "MAX_POOL_2D": _Writer.pool,
    "MIRROR_PAD": _Writer.mirror_pad,
    "RELU6": lambda writer, op: writer.clip6(str(op.inputs[0])),
    "RESHAPE": _Writer.reshape,
    "RESIZE_NEAREST_NEIGHBOR": _Writer.resize,
    "SLICE": _Writer.slice,
    "SOFTMAX": _Writer.softmax,
}

OPERATORS: Final = frozenset((*_SIMPLE, *_OPERATORS))
"""The operators that have a form here."""
