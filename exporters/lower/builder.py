"""Builds a graph operator by operator; every shape is computed here, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.errors import ExportError
from exporters.forms import Forms
from exporters.graph import Graph, Operator, OptionValue, Shape, Tensor
from exporters.lower.padding import Padding, Window, pool_axis, window_padding
from exporters.lower.value import NO_MARGINS, Value

FloatArray = NDArray[np.float32]
MOST_CONCATENATED = 10
"""Inputs of one CONCATENATION in TFLM (kernels/concatenation.cc)."""


class Builder:
    """Adds operators to a graph. Arrays given for weights use torch's layouts (OIHW) unless the name says otherwise.

    Attributes:
        forms: what is asked which forms to write.
    """

    def __init__(self, forms: Forms | None = None) -> None:
        self.forms = Forms() if forms is None else forms
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

    @property
    def position(self) -> int:
        """How many operators there are."""
        return len(self._operators)

    def refuse(self, message: str, hint: str | None = None) -> ExportError:
        """An error that names the module that is being lowered (to be raised by the caller)."""
        return ExportError(message, where=self._where or "the network", hint=hint)

    def choose(self, about: str, names: tuple[str, ...]) -> str:
        """Which of several forms of the module that is being lowered to write.

        Args:
            about: what the choice is about; one module may have several.
            names: the forms, the usual one first. All have the same inputs and outputs.
        """
        return self.forms.take(f"{self._where or 'the network'}: {about}", names)

    def _unique(self, stem: str) -> str:
        base = f"{self._where}/{stem}" if self._where else stem
        name, count = base, 1
        while name in self._tensors:
            count += 1
            name = f"{base}_{count}"
        return name

    def constant(
        self, data: NDArray[np.generic] | FloatArray, stem: str, dtype: str = "float32", *, fixed: bool
    ) -> str:
        """Declare a constant; `fixed` says that it is the same whatever the network has learnt."""
        name = self._unique(stem)
        array = np.ascontiguousarray(data, dtype=np.dtype(dtype))
        self._tensors[name] = Tensor(name, tuple(array.shape), dtype, array, fixed=fixed)
        return name

    def whole(self, numbers: Any, stem: str) -> str:
        """Declare whole numbers that a kernel reads, such as a shape."""
        return self.constant(np.asarray(numbers), stem, "int32", fixed=True)

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

    def given(self, value: Value) -> Value:
        """Declare a value that another builder has made, as a graph input."""
        self._tensors[value.name] = Tensor(value.name, value.shape)
        return value

    def add_operator(
        self, op: str, inputs: Sequence[str | None], shape: Shape, options: dict[str, OptionValue] | None = None,
        *, view: Shape | None = None,
    ) -> Value:  # fmt: skip
        """Append an operator with one output of `shape`, which torch sees as `view`, and return that output."""
        name = self._unique(op.lower())
        self._tensors[name] = Tensor(name, shape)
        self._operators.append(Operator(op, tuple(inputs), (name,), options or {}, self._where))
        return Value(name, shape, view)

    def finish(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> Graph:
        """The graph, checked.

        Raises:
            ExportError: an output is padded.
        """
        for value in outputs:
            self.need_no_margins(value)
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
        fixed: bool = False,
    ) -> Value:  # fmt: skip
        """A convolution; `weight` is [O, I/groups, kh, kw]. One group a channel becomes DEPTHWISE_CONV_2D.

        `padding` is "SAME", "VALID" or torch's symmetric (pad_h, pad_w); margins of `x` add to it. What SAME cannot express
        is folded into the kernel as rows and columns of zeros, which costs multiplications but no memory.

        `fixed` says that the kernel is the same whatever the network has learnt. Its bias is not stored but as integers
        under the scale of x, so it may differ all the same.
        """
        _, h, w, c = self._map(x).shape
        out_c, _, kh, kw = weight.shape
        if weight.shape[1] * groups != c:
            raise self.refuse(f"a kernel for {weight.shape[1] * groups} channels meets a map of {c}")
        rows = window_padding(Window(h, kh, stride[0], dilation[0]), padding, 0, x.margins[0], self.refuse)
        columns = window_padding(Window(w, kw, stride[1], dilation[1]), padding, 1, x.margins[1], self.refuse)
        if rows.same != columns.same:
            # An extent that needs no padding is as good under SAME as under VALID when nothing is cut off.
            rows, columns = rows.agree_with(columns, self.refuse), columns.agree_with(rows, self.refuse)
        if any((*rows.extension, *columns.extension)):
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
        inputs = (x.name, self.constant(kernel, "weight", fixed=fixed), self.constant(offsets, "bias", fixed=False))
        return self.add_operator(op, inputs, (1, rows.output, columns.output, out_c), options)

    def affine(self, x: Value, scale: FloatArray, shift: FloatArray, *, fixed: bool = False) -> Value:
        """scale * x + shift per channel, as a depthwise 1x1 convolution; `exporters.fold` merges it where it can."""
        y = self.conv(Value(x.name, x.shape), scale.reshape(-1, 1, 1, 1), shift, groups=scale.size, fixed=fixed)
        return y.seen_as(x.torch_shape)

    def pool(
        self, x: Value, op: str, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = "VALID",
        *, ceil_mode: bool = False,
    ) -> Value:  # fmt: skip
        """AVERAGE_POOL_2D or MAX_POOL_2D; an average counts only the pixels inside the map.

        `padding` is "SAME", "VALID" or torch's symmetric (pad_h, pad_w). A window of odd size with padding (size - 1) / 2
        that SAME cannot express under its stride becomes two operators: SAME at stride 1, of which the second (a MAX_POOL_2D
        of 1x1) keeps every stride-th pixel. The map between them is as large as x.

        Raises:
            ExportError: other padding that no operator without a PAD reproduces; a window larger than the map.
        """
        _, h, w, _ = self._map(x).shape
        if padding == "SAME":
            return self._pool(x, op, kernel, stride, "SAME", (-(-h // stride[0]), -(-w // stride[1])))
        pads = padding if isinstance(padding, tuple) else (0, 0)
        windows = [Window(h, kernel[0], stride[0]), Window(w, kernel[1], stride[1])]
        for axis, (window, pad) in enumerate(zip(windows, pads, strict=True)):
            missing = window.kernel - window.extent - 2 * pad
            if missing >= (window.stride if ceil_mode else 1):
                raise self.refuse(
                    f"a window of {window.kernel} does not fit a map of {window.extent}",
                    "use a smaller window, or adaptive pooling to 1x1",
                )
            if missing > 0:  # the only window of a ceil_mode, which sees the whole axis
                windows[axis] = Window(window.extent, window.extent, window.extent)
                pads = (0, pads[1]) if axis == 0 else (pads[0], 0)
        kernel, stride = (windows[0].kernel, windows[1].kernel), (windows[0].stride, windows[1].stride)
        axes = [pool_axis(window, pad, ceil_mode) for window, pad in zip(windows, pads, strict=True)]
        output = (axes[0].output, axes[1].output)
        if all(axis.valid for axis in axes):
            return self._pool(x, op, kernel, stride, "VALID", output)
        if all(axis.same for axis in axes):
            return self._pool(x, op, kernel, stride, "SAME", output)
        if all(axis.centred for axis in axes):
            dense = self._pool(x, op, kernel, (1, 1), "SAME", (h, w))
            return self._pool(dense, "MAX_POOL_2D", (1, 1), stride, "VALID", output)
        raise self.refuse(
            f"a pool of {kernel[0]}x{kernel[1]} with padding {pads}, stride {stride}"
            f"{', ceil_mode' if ceil_mode else ''} on a map of {h}x{w} has no counterpart in TFLite without a PAD operator",
            "use an odd window with padding (size - 1) / 2, or no padding",
        )

    def _pool(
        self, x: Value, op: str, kernel: tuple[int, int], stride: tuple[int, int], rule: str, output: tuple[int, int]
    ) -> Value:
        options: dict[str, OptionValue] = {
            "padding": rule, "stride_h": stride[0], "stride_w": stride[1],
            "filter_height": kernel[0], "filter_width": kernel[1], "fused_activation_function": "NONE",
        }  # fmt: skip
        return self.add_operator(op, (x.name,), (1, *output, x.shape[3]), options)

    def average_pool(self, x: Value, size: int) -> Value:
        """Average over windows of size x size, stride = size; the map itself for size 1."""
        return x if size == 1 else self.pool(x, "AVERAGE_POOL_2D", (size, size), (size, size))

    def elementwise(self, op: str, a: Value, b: Value | FloatArray) -> Value:
        """ADD, SUB, MUL or DIV of two tensors, or of a tensor and a constant that broadcasts to it.

        Maps broadcast along extents of 1 (a gate [1, C, 1, 1], a mask [1, 1, H, W]), as in torch.
        """
        options: dict[str, OptionValue] = {"fused_activation_function": "NONE"}
        if isinstance(b, Value):
            shape, view = self._broadcast(op, a, b)
            return self.add_operator(op, (a.name, b.name), shape, options, view=view)
        if len(b.shape) != len(a.shape) or any(n not in (1, m) for n, m in zip(b.shape, a.shape, strict=True)):
            raise self.refuse(f"{op} of {list(a.shape)} with a constant of shape {list(b.shape)}")
        return self.add_operator(op, (a.name, self.constant(b, "constant", fixed=False)), a.shape, options, view=a.view)

    def _broadcast(self, op: str, a: Value, b: Value) -> tuple[Shape, Shape | None]:
        """Shape and view of the result of two values."""
        if a.shape == b.shape and a.torch_shape == b.torch_shape:
            return a.shape, a.view
        if a.is_map and b.is_map:
            try:
                return np.broadcast_shapes(a.shape, b.shape), None
            except ValueError:
                pass
        raise self.refuse(
            f"{op} of {list(a.torch_shape)} and {list(b.torch_shape)} is not supported",
            "bring both to one shape, or the smaller one to [1, C, 1, 1]",
        )

    def unary(self, op: str, x: Value, options: dict[str, OptionValue] | None = None) -> Value:
        """LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU or HARD_SWISH."""
        return self.add_operator(op, (x.name,), x.shape, options, view=x.view)

    def softmax(self, x: Value, op: str = "SOFTMAX") -> Value:
        """SOFTMAX or LOG_SOFTMAX over the last axis of the graph's tensor."""
        options: dict[str, OptionValue] = {"beta": 1.0} if op == "SOFTMAX" else {}
        return self.add_operator(op, (x.name,), x.shape, options, view=x.view)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same elements in row-major order under another shape (the graph's shape, NHWC)."""
        if math.prod(shape) != math.prod(x.shape):
            raise self.refuse(f"cannot view {list(x.shape)} as {list(shape)}")
        target = self.whole(shape, "shape")
        return self.add_operator("RESHAPE", (x.name, target), shape, {"new_shape": shape})

    def batch_matmul(self, a: Value, b: Value, *, transpose_b: bool = False) -> Value:
        """[1, M, K] x [1, K, N], or x [1, N, K] transposed. TFLM keeps a copy of b unless `transpose_b`."""
        n = b.shape[-2] if transpose_b else b.shape[-1]
        if a.shape[-1] != (b.shape[-1] if transpose_b else b.shape[-2]):
            raise self.refuse(f"cannot multiply {list(a.shape)} by {list(b.shape)}")
        return self.add_operator(
            "BATCH_MATMUL", (a.name, b.name), (*a.shape[:-1], n), {"adj_x": False, "adj_y": transpose_b}
        )

    def resize_nearest(self, x: Value, factor: int | tuple[int, int]) -> Value:
        """Every pixel repeated factor times along each axis (height and width); the map itself for factor 1."""
        tall, wide = (factor, factor) if isinstance(factor, int) else factor
        if (tall, wide) == (1, 1):
            return x
        _, h, w, c = self._map(x).shape
        size = self.whole((h * tall, w * wide), "size")
        options: dict[str, OptionValue] = {"align_corners": False, "half_pixel_centers": False}
        return self.add_operator("RESIZE_NEAREST_NEIGHBOR", (x.name, size), (1, h * tall, w * wide, c), options)

    def concatenation(self, values: Sequence[Value], axis: int = 3) -> Value:
        """Concatenation of maps along an axis of the graph, by default the channels.

        More than 10 inputs (TFLM's limit, kernels/concatenation.cc) are nested.

        Raises:
            ExportError: other extents differ.
        """
        while len(values) > MOST_CONCATENATED:
            parts = [values[i : i + MOST_CONCATENATED] for i in range(0, len(values), MOST_CONCATENATED)]
            values = [self.concatenation(part, axis) for part in parts]
        if len(values) == 1:
            return values[0]
        if len({(*v.shape[:axis], *v.shape[axis + 1 :]) for v in values}) != 1:
            raise self.refuse(f"cannot concatenate {[list(v.torch_shape) for v in values]}")
        shape = list(values[0].shape)
        shape[axis] = sum(v.shape[axis] for v in values)
        options: dict[str, OptionValue] = {"axis": axis, "fused_activation_function": "NONE"}
        return self.add_operator("CONCATENATION", [v.name for v in values], tuple(shape), options)

    def slice(self, x: Value, begin: Shape, extent: Shape) -> Value:
        """The part of a map that begins at `begin` and has the shape `extent`, in the graph's layout."""
        inputs = (
            x.name,
            self.whole(begin, "begin"),
            self.whole(extent, "extent"),
        )
        return self.add_operator("SLICE", inputs, extent)

    def _map(self, x: Value) -> Value:
        if len(x.shape) != 4 or not (x.is_map or x.is_vector):
            raise self.refuse(f"needs a map [1, C, H, W], got {list(x.torch_shape)}")
        return x

    def need_no_margins(self, x: Value) -> None:
        """Only a convolution reads zeros around a map.

        Raises:
            ExportError: there are some.
        """
        if x.margins != NO_MARGINS:
            raise self.refuse(
                "zeros around a map are only supported in front of a convolution, which takes them as its padding",
                "pad right before the convolution, or give the padding to the layer itself",
            )

    def reflect(self, x: Value, front: int, back: int) -> Value:
        """`front` pixels more above and to the left, `back` more below and to the right, mirrored at the border pixel.

        MIRROR_PAD writes a copy of the map into the arena.
        """
        _, h, w, c = self._map(x).shape
        pad = (front, back)
        if max(pad) >= min(h, w):
            raise self.refuse(f"{max(pad)} pixels of a map of {h}x{w} cannot be reflected", "use a smaller filter")
        paddings = self.whole(((0, 0), pad, pad, (0, 0)), "paddings")
        shape = (1, h + front + back, w + front + back, c)
        return self.add_operator("MIRROR_PAD", (x.name, paddings), shape, {"mode": 0})
