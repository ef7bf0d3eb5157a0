"""Functions and tensor methods that a traced forward calls, by name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F

from exporters.lower.activations import softmax_over_channels
from exporters.lower.arrays import array
from exporters.lower.builder import Builder, Value
from exporters.lower.pools import adaptive

FunctionLowering = Callable[..., Any]


def _elementwise(op: str) -> FunctionLowering:
    def lower(builder: Builder, a: Any, b: Any, **options: Any) -> Value:
        if options:
            raise builder.refuse(f"arguments {sorted(options)} of {op} are not supported")
        if not isinstance(a, Value):
            if op in ("SUB", "DIV"):
                raise builder.refuse(f"{op} of a constant and a tensor is not supported", "rewrite it as a product")
            a, b = b, a
        return builder.elementwise(op, a, b if isinstance(b, Value) else _constant(builder, a, b))

    return lower


def _constant(builder: Builder, like: Value, constant: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A number or a torch tensor as a constant that broadcasts to the graph's layout."""
    if isinstance(constant, (int, float)):
        return np.full((1,) * len(like.shape), constant, np.float32)
    if not isinstance(constant, torch.Tensor):
        raise builder.refuse(f"a constant of type {type(constant).__name__} is not supported")
    values = array(constant)
    if len(like.shape) == 4 and not like.flat:
        values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(0, 2, 3, 1)
    elif like.shape[1:3] == (1, 1):
        values = values.reshape(1, 1, 1, -1)
    else:
        raise builder.refuse("a constant tensor beside a flattened map is not supported", "apply it before the flatten")
    return values


def _unary(op: str) -> FunctionLowering:
    def lower(builder: Builder, x: Value, inplace: bool = False) -> Value:
        return builder.unary(op, x)

    return lower


def _same(builder: Builder, x: Value, *args: Any, **options: Any) -> Value:
    return x


def _softmax(builder: Builder, x: Value, dim: int | None = None, *args: Any, **options: Any) -> Value:
    return softmax_over_channels(builder, x, dim)


def _cat(builder: Builder, values: Any, dim: int = 0) -> Value:
    if dim not in (1, 1 - len(values[0].torch_shape)):
        raise builder.refuse(f"a concatenation along axis {dim} is not supported", "use dim=1")
    return builder.concatenation(list(values))


def _flatten(builder: Builder, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if start_dim != 1 or end_dim not in (-1, len(x.torch_shape) - 1):
        raise builder.refuse(f"flatten from axis {start_dim} to {end_dim} is not supported", "use torch.flatten(x, 1)")
    return Value(x.name, x.shape, flat=True)


def _view(builder: Builder, x: Value, *shape: Any) -> Value:
    wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else tuple(shape)
    total = int(np.prod(x.shape))
    known = int(np.prod([n for n in wanted if n != -1]))
    resolved = tuple(total // known if n == -1 else n for n in wanted)
    if resolved == x.torch_shape:
        return x
    if resolved == (1, total):
        return Value(x.name, x.shape, flat=True)
    raise builder.refuse(f"a view of {list(x.torch_shape)} as {list(wanted)} is not supported", "flatten from axis 1")


def _mean(builder: Builder, x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    axes = {axis % 4 for axis in ((dim,) if isinstance(dim, int) else dim or ())}
    if axes != {2, 3} or len(x.torch_shape) != 4:
        raise builder.refuse(f"a mean over {dim} of {list(x.torch_shape)} is not supported", "use mean((2, 3))")
    y = adaptive(builder, x, 1)
    return y if keepdim else Value(y.name, y.shape, flat=True)


def _adaptive(builder: Builder, x: Value, output_size: Any) -> Value:
    return adaptive(builder, x, output_size)


def _interpolate(
    builder: Builder,
    x: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    **options: Any,
) -> Value:
    _, h, w, _ = x.shape
    if mode != "nearest" or any(value not in (None, False) for value in options.values()):
        raise builder.refuse(f"interpolation mode {mode!r} is not supported", 'use mode="nearest"')
    if scale_factor is not None:
        factors = (scale_factor, scale_factor) if isinstance(scale_factor, (int, float)) else tuple(scale_factor)
    else:
        sizes = (size, size) if isinstance(size, int) else tuple(size)
        factors = (sizes[0] / h, sizes[1] / w)
    if factors[0] != factors[1] or factors[0] != int(factors[0]) or factors[0] < 1:
        raise builder.refuse(f"interpolation by {factors} is not supported", "use one whole factor for both axes")
    return builder.resize_nearest(x, int(factors[0]))


def _size(builder: Builder, x: Value, dim: int | None = None) -> Any:
    return x.torch_shape if dim is None else x.torch_shape[dim]


def _getattr(builder: Builder, x: Value, name: str) -> Any:
    if name == "shape":
        return x.torch_shape
    raise builder.refuse(f"the attribute {name!r} of a tensor is not supported")


FUNCTIONS: Final[Mapping[Any, FunctionLowering]] = {
    operator.add: _elementwise("ADD"), operator.iadd: _elementwise("ADD"), torch.add: _elementwise("ADD"),
    operator.sub: _elementwise("SUB"), torch.sub: _elementwise("SUB"),
    operator.mul: _elementwise("MUL"), operator.imul: _elementwise("MUL"), torch.mul: _elementwise("MUL"),
    operator.truediv: _elementwise("DIV"), torch.div: _elementwise("DIV"),
    F.relu: _unary("RELU"), torch.relu: _unary("RELU"), F.relu6: _unary("RELU6"), F.hardswish: _unary("HARD_SWISH"),
    torch.sigmoid: _unary("LOGISTIC"), F.sigmoid: _unary("LOGISTIC"),
    F.softmax: _softmax, torch.softmax: _softmax, F.dropout: _same,
    torch.cat: _cat, torch.concat: _cat, torch.flatten: _flatten, torch.mean: _mean,
    F.adaptive_avg_pool2d: _adaptive, F.interpolate: _interpolate, getattr: _getattr,
}  # fmt: skip

METHODS: Final[Mapping[str, FunctionLowering]] = {
    "add": _elementwise("ADD"), "add_": _elementwise("ADD"), "sub": _elementwise("SUB"), "mul": _elementwise("MUL"),
    "mul_": _elementwise("MUL"), "div": _elementwise("DIV"), "relu": _unary("RELU"), "sigmoid": _unary("LOGISTIC"),
    "softmax": _softmax, "flatten": _flatten, "view": _view, "reshape": _view, "mean": _mean, "size": _size,
    "contiguous": _same, "clone": _same, "detach": _same,
}  # fmt: skip
