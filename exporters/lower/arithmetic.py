"""Sums, products and their like, as operators and as methods."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch

from exporters.lower.arrays import array
from exporters.lower.builder import Builder, FloatArray
from exporters.lower.registry import register_function
from exporters.lower.value import Value


@register_function(operator.add, operator.iadd, torch.add, methods=("add", "add_", "__add__", "__radd__"))
def add(builder: Builder, a: Any, b: Any, *, alpha: float = 1) -> Value:
    _whole(builder, alpha)
    return _combine(builder, "ADD", a, b)


@register_function(operator.sub, operator.isub, torch.sub, torch.subtract, methods=("sub", "sub_", "__sub__"))
def subtract(builder: Builder, a: Any, b: Any, *, alpha: float = 1) -> Value:
    _whole(builder, alpha)
    return _combine(builder, "SUB", a, b)


@register_function(torch.rsub, methods=("rsub", "__rsub__"))
def reverse_subtract(builder: Builder, a: Any, b: Any, *, alpha: float = 1) -> Value:
    _whole(builder, alpha)
    return _combine(builder, "SUB", b, a)


@register_function(
    operator.mul, operator.imul, torch.mul, torch.multiply, methods=("mul", "mul_", "multiply", "__mul__")
)
def multiply(builder: Builder, a: Any, b: Any) -> Value:
    return _combine(builder, "MUL", a, b)


@register_function(operator.truediv, operator.itruediv, torch.div, torch.divide, methods=("div", "div_", "divide"))
def divide(builder: Builder, a: Any, b: Any, *, rounding_mode: str | None = None) -> Value:
    if rounding_mode is not None:
        raise builder.refuse("a division that rounds is not supported")
    return _combine(builder, "DIV", a, b)


@register_function(operator.neg, torch.neg, methods=("neg",))
def negate(builder: Builder, x: Value) -> Value:
    return _combine(builder, "MUL", x, -1.0)


def _whole(builder: Builder, alpha: float) -> None:
    if alpha != 1:
        raise builder.refuse(f"a sum with alpha={alpha} is not supported", "multiply the tensor first")


def _combine(builder: Builder, op: str, a: Any, b: Any) -> Value:
    """One of ADD, SUB, MUL, DIV of two values, or of a value and a constant on either side."""
    if isinstance(a, Value) and isinstance(b, Value):
        return builder.elementwise(op, a, b)
    x, constant, swapped = (a, b, False) if isinstance(a, Value) else (b, a, True)
    values = _constant(builder, x, constant)
    if swapped and op == "DIV":
        raise builder.refuse("a constant divided by a tensor is not supported", "rewrite it as a product")
    if values.shape[:3] != (1, 1, 1) or len(x.shape) != 4:
        if swapped and op == "SUB":
            raise builder.refuse("a map of constants minus a tensor is not supported", "rewrite it as a sum")
        return builder.elementwise(op, x, values)
    return _per_channel(builder, op, x, np.broadcast_to(values.reshape(-1), x.shape[-1:]).copy(), swapped)


def _per_channel(builder: Builder, op: str, x: Value, values: FloatArray, swapped: bool) -> Value:
    """A number a channel scales or shifts: finer than an int8 constant, and it folds into a convolution."""
    ones, zeros = np.ones_like(values), np.zeros_like(values)
    if op == "DIV" and not values.all():
        raise builder.refuse("a division by a constant that contains 0", "check the constant")
    scale, shift = {
        "ADD": (ones, values),
        "SUB": (-ones, values) if swapped else (ones, -values),
        "MUL": (values, zeros),
        "DIV": (1 / values if op == "DIV" else ones, zeros),
    }[op]
    return builder.affine(x, np.asarray(scale, np.float32), np.asarray(shift, np.float32))


def _constant(builder: Builder, like: Value, constant: Any) -> FloatArray:
    """A number or a torch tensor as a constant that broadcasts to the graph's layout."""
    if isinstance(constant, (int, float)):
        return np.full((1,) * len(like.shape), constant, np.float32)
    if not isinstance(constant, torch.Tensor):
        raise builder.refuse(f"a constant of type {type(constant).__name__} is not supported")
    values = array(constant)
    if values.size == 1:
        return values.reshape((1,) * len(like.shape))
    if like.is_map and values.ndim <= 4:
        values = values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(0, 2, 3, 1)
    elif like.is_vector and like.is_flat:
        values = values.reshape(1, 1, 1, -1)
    elif len(like.shape) == 4:
        raise builder.refuse("a constant tensor beside a flattened map is not supported", "apply it before the flatten")
    return np.ascontiguousarray(values)
