"""Builds a graph operator by operator; every shape is computed here, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.graph import Graph, Operator, OptionValue, Shape, Tensor
from exporters.lower.padding import Padding, Window, window_padding

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Value:
    """What a torch value has become: a tensor of the graph, and how torch sees it.

    The graph's maps are [1, H, W, C]. A torch value of shape [1, C, H, W] has `flat` False. After a flatten torch sees
    [1, C*H*W], which on the device is still the same map (a Linear that follows becomes a convolution over it).
    """

    name: str
    shape: Shape
    flat: bool = False

    @property
    def torch_shape(self) -> Shape:
        if len(self.shape) != 4:
            return self.shape
        n, h, w, c = self.shape
        return (n, c * h * w) if self.flat else (n, c, h, w)


class Builder:
    """Adds operators to a graph. Arrays given for weights use torch's layouts (OIHW) unless the name says otherwise."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._where = ""

    # ---- names and places -------------------------------------------------------------------------------------

    @contextmanager
    def at(self, path: str) -> Iterator[None]:
        """Operators that are added inside the block belong to the module at `path`."""
        before, self._where = self._where, path
        try:
            yield
        finally:
            self._where = before

    @property
    def where(self) -> str:
        """Path of the module that is being lowered."""
        return self._where

    def refuse(self, message: str, hint: str | None = None) -> ExportError:
        """An error that names the module that is being lowered (to be raised by the caller)."""
        return ExportError(message, where=self._where or "the network", hint=hint)

    def _unique(self, stem: str) -> str:
        base = f"{self._where}/{stem}" if self._where else stem
        name, count = base, 1
        while name in self._tensors:
            count += 1
            name = f"{base}_{count}"
        return name

    def constant(self, data: NDArray[np.generic] | FloatArray, stem: str, dtype: str = "float32") -> str:
        name = self._unique(stem)
        array = np.ascontiguousarray(data, dtype=np.dtype(dtype))
        self._tensors[name] = Tensor(name, tuple(array.shape), dtype, array)
        return name

    def input(self, torch_shape: Shape, name: str = "input") -> Value:
        """Declare a graph input; [1, C, H, W] becomes [1, H, W, C].

        Raises:
            ExportError: the batch is not 1, or the shape is not one of a map.
        """
        if len(torch_shape) != 4 or torch_shape[0] != 1:
            raise self.refuse(f"an input of shape {list(torch_shape)} is not supported", "give [1, C, H, W]")
        n, c, h, w = torch_shape
        self._tensors[name] = Tensor(name, (n, h, w, c))
        return Value(name, (n, h, w, c))

    def add_operator(
        self, op: str, inputs: Sequence[str | None], shape: Shape, options: dict[str, OptionValue] | None = None,
        *, stem: str | None = None, flat: bool = False,
    ) -> Value:  # fmt: skip
        """Append an operator with one output of `shape` and return that output."""
        name = self._unique(stem or op.lower())
        self._tensors[name] = Tensor(name, shape)
        self._operators.append(Operator(op, tuple(inputs), (name,), options or {}, self._where))
        return Value(name, shape, flat)

    def finish(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """The graph, checked."""
        graph = Graph(
            dict(self._tensors),
            tuple(self._operators),
            tuple(v.name for v in inputs),
            tuple(v.name for v in outputs),
        )
        return graph.rebuilt(graph.operators).check()

    # ---- operators ----------------------------------------------------------------------------------------------

    def conv(
        self, x: Value, weight: FloatArray, bias: FloatArray | None, *, stride: tuple[int, int] = (1, 1),
        padding: Padding = "VALID", dilation: tuple[int, int] = (1, 1), groups: int = 1, activation: str = "NONE",
    ) -> Value:  # fmt: skip
        """A convolution; `weight` is [O, I/groups, kh, kw]. One group a channel becomes DEPTHWISE_CONV_2D.

        `padding` is "SAME", "VALID" or torch's symmetric (pad_h, pad_w). Symmetric padding that SAME cannot express is
        folded into the kernel as rows and columns of zeros, which costs multiplications but no memory.
        """
        _, h, w, c = self._map(x).shape
        out_c, _, kh, kw = weight.shape
        if weight.shape[1] * groups != c:
            raise self.refuse(f"a kernel for {weight.shape[1] * groups} channels meets a map of {c}")
        rows = window_padding(Window(h, kh, stride[0], dilation[0]), padding, 0, self.refuse)
        columns = window_padding(Window(w, kw, stride[1], dilation[1]), padding, 1, self.refuse)
        if rows.same != columns.same:
            # An extent that needs no padding is as good under SAME as under VALID when nothing is cut off.
            rows, columns = rows.agree_with(columns, self.refuse), columns.agree_with(rows, self.refuse)
        weight = np.pad(weight, ((0, 0), (0, 0), rows.extension, columns.extension))
        options: dict[str, OptionValue] = {
            "padding": "SAME" if rows.same else "VALID",
            "stride_h": stride[0], "stride_w": stride[1],
            "dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1],
            "fused_activation_function": activation,
        }  # fmt: skip
        depthwise = groups == c and groups > 1
        if depthwise:
            # Output channel g*m + j of torch reads input channel g, exactly TFLite's order with depth multiplier m.
            kernel, op = weight.transpose(1, 2, 3, 0), "DEPTHWISE_CONV_2D"
            options["depth_multiplier"] = out_c // c
        else:
            kernel, op = weight.transpose(0, 2, 3, 1), "CONV_2D"
        offsets = np.zeros(out_c, np.float32) if bias is None else bias
        inputs = (x.name, self.constant(kernel, "weight"), self.constant(offsets, "bias"))
        return self.add_operator(op, inputs, (1, rows.output, columns.output, out_c), options)

    def affine(self, x: Value, scale: FloatArray, shift: FloatArray) -> Value:
        """scale * x + shift per channel, as a depthwise 1x1 convolution; `exporters.fold` merges it where it can."""
        weight = scale.reshape(-1, 1, 1, 1)
        if scale.size == 1:
            return self.conv(x, weight, shift)
        return self.conv(x, weight, shift, groups=scale.size)

    def pool(
        self, x: Value, op: str, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = "VALID"
    ) -> Value:
        """AVERAGE_POOL_2D or MAX_POOL_2D. Symmetric padding is only accepted where it equals SAME."""
        _, h, w, c = self._map(x).shape
        rows = window_padding(Window(h, kernel[0], stride[0], 1), padding, 0, self.refuse)
        columns = window_padding(Window(w, kernel[1], stride[1], 1), padding, 1, self.refuse)
        if rows.same != columns.same:
            rows, columns = rows.agree_with(columns, self.refuse), columns.agree_with(rows, self.refuse)
        if any((*rows.extension, *columns.extension)):
            raise self.refuse(
                f"a pool with symmetric padding {padding} has no counterpart in TFLite",
                "use SAME-style padding or none",
            )
        options: dict[str, OptionValue] = {
            "padding": "SAME" if rows.same else "VALID", "stride_h": stride[0], "stride_w": stride[1],
            "filter_height": kernel[0], "filter_width": kernel[1], "fused_activation_function": "NONE",
        }  # fmt: skip
        return self.add_operator(op, (x.name,), (1, rows.output, columns.output, c), options)

    def average_pool(self, x: Value, size: int) -> Value:
        """Average over windows of size x size, stride = size; the map itself for size 1."""
        return x if size == 1 else self.pool(x, "AVERAGE_POOL_2D", (size, size), (size, size))

    def elementwise(self, op: str, a: Value, b: Value | FloatArray) -> Value:
        """ADD, SUB, MUL or DIV of two tensors of one shape, or of a tensor and a constant that broadcasts to it."""
        if isinstance(b, Value):
            if a.shape != b.shape or a.flat != b.flat:
                raise self.refuse(
                    f"{op} of {list(a.torch_shape)} and {list(b.torch_shape)}: broadcasting between computed tensors "
                    "is not supported",
                    "bring both to one shape",
                )
            other = b.name
        else:
            if np.broadcast_shapes(a.shape, b.shape) != a.shape:
                raise self.refuse(f"{op} of {list(a.shape)} with a constant of shape {list(b.shape)}")
            other = self.constant(b, "constant")
        options: dict[str, OptionValue] = {"fused_activation_function": "NONE"}
        return self.add_operator(op, (a.name, other), a.shape, options, flat=a.flat)

    def unary(self, op: str, x: Value) -> Value:
        """LOGISTIC, RELU, RELU6 or HARD_SWISH."""
        return self.add_operator(op, (x.name,), x.shape, flat=x.flat)

    def softmax(self, x: Value) -> Value:
        """Softmax over the last axis of the graph's tensor."""
        return self.add_operator("SOFTMAX", (x.name,), x.shape, {"beta": 1.0}, flat=x.flat)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same elements in row-major order under another shape (the graph's shape, NHWC)."""
        if math.prod(shape) != math.prod(x.shape):
            raise self.refuse(f"cannot view {list(x.shape)} as {list(shape)}")
        target = self.constant(np.asarray(shape), "shape", "int32")
        return self.add_operator("RESHAPE", (x.name, target), shape, {"new_shape": shape})

    def batch_matmul(self, a: Value, b: Value, *, transpose_b: bool = False) -> Value:
        """[1, M, K] x [1, K, N], or x [1, N, K] transposed. TFLM keeps a copy of b unless `transpose_b`."""
        n = b.shape[-2] if transpose_b else b.shape[-1]
        if a.shape[-1] != (b.shape[-1] if transpose_b else b.shape[-2]):
            raise self.refuse(f"cannot multiply {list(a.shape)} by {list(b.shape)}")
        return self.add_operator(
            "BATCH_MATMUL", (a.name, b.name), (*a.shape[:-1], n), {"adj_x": False, "adj_y": transpose_b}
        )

    def resize_nearest(self, x: Value, factor: int) -> Value:
        """Every pixel repeated factor x factor times; the map itself for factor 1."""
        if factor == 1:
            return x
        _, h, w, c = self._map(x).shape
        size = self.constant(np.asarray((h * factor, w * factor)), "size", "int32")
        options: dict[str, OptionValue] = {"align_corners": False, "half_pixel_centers": False}
        return self.add_operator("RESIZE_NEAREST_NEIGHBOR", (x.name, size), (1, h * factor, w * factor, c), options)

    def concatenation(self, values: Sequence[Value]) -> Value:
        """Concatenation of maps along the channels.

        Raises:
            ExportError: more than 10 inputs (TFLM's limit, kernels/concatenation.cc), or extents that differ.
        """
        if len(values) > 10:
            raise self.refuse(f"a concatenation of {len(values)} tensors; TFLM takes at most 10", "nest concatenations")
        if len({v.shape[:-1] for v in values}) != 1 or len({v.flat for v in values}) != 1:
            raise self.refuse(f"cannot concatenate {[list(v.torch_shape) for v in values]} along the channels")
        shape = (*values[0].shape[:-1], sum(v.shape[-1] for v in values))
        options: dict[str, OptionValue] = {"axis": 3, "fused_activation_function": "NONE"}
        return self.add_operator("CONCATENATION", [v.name for v in values], shape, options, flat=values[0].flat)

    def _map(self, x: Value) -> Value:
        if len(x.shape) != 4 or (x.flat and x.shape[1:3] != (1, 1)):
            raise self.refuse(f"needs a map [1, C, H, W], got {list(x.torch_shape)}")
        return x

    def reflect(self, x: Value, front: int, back: int) -> Value:
        """`front` pixels more above and to the left, `back` more below and to the right, mirrored at the border pixel.

        MIRROR_PAD writes a copy of the map into the arena.
        """
        _, h, w, c = self._map(x).shape
        pad = (front, back)
        if max(pad) >= min(h, w):
            raise self.refuse(f"{max(pad)} pixels of a map of {h}x{w} cannot be reflected", "use a smaller filter")
        paddings = self.constant(np.asarray(((0, 0), pad, pad, (0, 0))), "paddings", "int32")
        shape = (1, h + front + back, w + front + back, c)
        return self.add_operator("MIRROR_PAD", (x.name, paddings), shape, {"mode": 0})
