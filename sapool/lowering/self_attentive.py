"""Self-attentive pooling in integer operators: no transpose, no exponential.

The attention has three forms, which are equal in exact arithmetic and differ in the memory that they need:

    shared    key projections folded into the queries, value, output and restoration projections into one matrix (the key
              bias drops out of the softmax); all heads share the tokens as keys and values and are rows of one product
    looped    the same, one head after the other: the scores of one head are alive at a time
    narrow    each head projects the tokens to its own few channels, as torch does

and the window norm two:

    division  two averages and a quotient; exp(sigmoid(z)) is approximated, within 0.055%
    softmax   a softmax over the sigmoids of each window, which is the same weighting exactly

The exporter takes the forms with the smallest arena (`exporters.forms`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from exporters.lower import Builder, Value, register
from exporters.lower.arrays import array, batch_norm
from exporters.lower.builder import MOST_CONCATENATED
from sapool.lowering import gates
from sapool.pooling.self_attentive import SelfAttentivePooling

Matrix = NDArray[np.float64]


@register(SelfAttentivePooling)
def self_attentive(module: SelfAttentivePooling, builder: Builder, x: Value) -> Value:
    """Pool first, weight at low resolution: windows of gcd(patch, stride) lie inside one patch and one pooling window.

    With q = gcd(p, s) and W constant inside a patch, AvgPool_s(x * W) = AvgPool_{s/q}(AvgPool_q(x) * W) exactly, where W
    has H/q rows. The large map is read by the first two operators only and is given back before the attention starts.
    """
    inner = math.gcd(module.patch, module.stride)
    outer, repeat = module.stride // inner, module.patch // inner
    norm = builder.choose("window norm", ("division", "softmax")) if module.window_norm else "none"
    pooled = builder.average_pool(x, inner)
    tokens = _tokens(module, builder, x)
    if norm == "softmax":
        gate = _gate(module, builder, tokens, slope=1.0, offset=0.0)
        scores = gates.side_by_side(builder, builder.resize_nearest(gate, repeat), outer)
        return gates.weigh_windows(builder, gates.side_by_side(builder, pooled, outer), scores, outer)
    gate = _gate(module, builder, tokens, slope=gates.SLOPE, offset=gates.OFFSET)
    with builder.at(f"{builder.where}.restore"):
        weights = gates.exponential(builder, gate)
    weights = builder.resize_nearest(weights, repeat)
    weighted = builder.average_pool(builder.elementwise("MUL", pooled, weights), outer)
    return weighted if norm == "none" else builder.elementwise("DIV", weighted, builder.average_pool(weights, outer))


def _tokens(module: SelfAttentivePooling, builder: Builder, x: Value) -> Value:
    """[1, n, n, E]: patch embedding plus learned positions."""
    with builder.at(f"{builder.where}.patch_embed"):
        conv, norm = module.patch_embed.conv, module.patch_embed.bn
        patch = (module.patch, module.patch)
        embedded = builder.conv(x, array(conv.weight), None if conv.bias is None else array(conv.bias), stride=patch)
        embedded = builder.unary("RELU", builder.affine(embedded, *batch_norm(norm)))
    with builder.at(f"{builder.where}.positions"):
        _, rows, columns, _ = embedded.shape
        return builder.elementwise("ADD", embedded, array(module.positions(rows, columns)).transpose(0, 2, 3, 1))


def _gate(module: SelfAttentivePooling, builder: Builder, tokens: Value, *, slope: float, offset: float) -> Value:
    """[1, n, n, C]: sigmoid(slope * z + offset), z being the restoration of the attention over the tokens."""
    looped = 1 < module.heads <= MOST_CONCATENATED
    form = builder.choose("attention", tuple(_ATTENTION)) if looped else "shared"
    folded = _Folded.of(module, slope, offset)
    logits = _ATTENTION[form](module, builder, tokens, folded)
    with builder.at(f"{builder.where}.restore"):
        return builder.unary("LOGISTIC", logits)


def _shared(module: SelfAttentivePooling, builder: Builder, tokens: Value, folded: _Folded) -> Value:
    """All heads at once: 2 h N^2 bytes of scores and shares are alive together."""
    _, rows, columns, width = tokens.shape
    count, heads = rows * columns, module.heads
    with builder.at(f"{builder.where}.attention"):
        queries = builder.conv(tokens, _kernel(np.concatenate(folded.query)), _bias(np.concatenate(folded.query_bias)))
        queries = builder.reshape(queries, (1, count * heads, width))
        keys = builder.reshape(tokens, (1, count, width))
        mixed = builder.reshape(_attend(builder, queries, keys, keys), (1, rows, columns, heads * width))
    with builder.at(f"{builder.where}.restore"):
        return builder.conv(mixed, _kernel(np.concatenate(folded.restore, axis=1)), _bias(folded.restore_bias))


def _looped(module: SelfAttentivePooling, builder: Builder, tokens: Value, folded: _Folded) -> Value:
    """One head after the other over the same tokens; their results are concatenated."""
    with builder.at(f"{builder.where}.attention"):
        row = _row(builder, tokens)
        heads = [
            _attend(builder, builder.conv(row, _kernel(query), _bias(bias)), row, row)
            for query, bias in zip(folded.query, folded.query_bias, strict=True)
        ]
        mixed = builder.concatenation(heads)
    return _restored(builder, tokens, mixed, np.concatenate(folded.restore, axis=1), folded.restore_bias)


def _narrow(module: SelfAttentivePooling, builder: Builder, tokens: Value, folded: _Folded) -> Value:
    """One head after the other, each with E/h channels."""
    attention = module.attention
    wq, bq = _linear(attention.query)
    wk, _ = _linear(attention.key)
    wv, _ = _linear(attention.value)
    depth = wq.shape[0] // module.heads
    scale = 1 / math.sqrt(depth)
    with builder.at(f"{builder.where}.attention"):
        row = _row(builder, tokens)
        heads = []
        for head in range(module.heads):
            part = slice(head * depth, (head + 1) * depth)
            queries = builder.conv(row, _kernel(scale * wq[part]), _bias(scale * bq[part]))
            keys = builder.conv(row, _kernel(wk[part]), None)
            heads.append(_attend(builder, queries, keys, builder.conv(row, _kernel(wv[part]), None)))
        mixed = builder.concatenation(heads)
    return _restored(builder, tokens, mixed, folded.output, folded.restore_bias)


_ATTENTION: Final[Mapping[str, Callable[[SelfAttentivePooling, Builder, Value, _Folded], Value]]] = {
    "shared": _shared, "looped": _looped, "narrow": _narrow,
}  # fmt: skip


def _attend(builder: Builder, queries: Value, keys: Value, values: Value) -> Value:
    return builder.batch_matmul(gates.shares(builder, builder.batch_matmul(queries, keys, transpose_b=True)), values)


def _row(builder: Builder, tokens: Value) -> Value:
    """The tokens as a map of one row: what a convolution and a matrix product can both read."""
    _, rows, columns, width = tokens.shape
    return builder.reshape(tokens, (1, 1, rows * columns, width))


def _restored(builder: Builder, tokens: Value, mixed: Value, matrix: Matrix, bias: Matrix) -> Value:
    with builder.at(f"{builder.where}.restore"):
        logits = builder.conv(mixed, _kernel(matrix), _bias(bias))
        return builder.reshape(logits, (*tokens.shape[:3], matrix.shape[0]))


@dataclass(frozen=True, slots=True)
class _Folded:
    """The affine maps around the softmax, in double precision.

    Attributes:
        query, query_bias: for each head Wk^T Wq / sqrt(d) [E, E] and Wk^T bq / sqrt(d) [E].
        restore: for each head Wr Wo Wv [C, E], with the normalisation and the slope of the gate.
        restore_bias: [C], with all biases and the gate's offset.
        output: Wr Wo [C, E], with the normalisation and the slope.
    """

    query: list[Matrix]
    query_bias: list[Matrix]
    restore: list[Matrix]
    restore_bias: Matrix
    output: Matrix

    @classmethod
    def of(cls, module: SelfAttentivePooling, slope: float, offset: float) -> _Folded:
        attention, heads = module.attention, module.heads
        wq, bq = _linear(attention.query)
        wk, _ = _linear(attention.key)
        wv, bv = _linear(attention.value)
        wo, bo = _linear(attention.output)
        wr, br = _linear(module.restore.conv)
        scale, shift = (slope * a.astype(np.float64) for a in batch_norm(module.restore.bn))
        depth = wq.shape[0] // heads
        output = scale[:, None] * (wr @ wo)
        query, query_bias, restore = [], [], []
        for head in range(heads):
            part = slice(head * depth, (head + 1) * depth)
            keys = wk[part].T / math.sqrt(depth)
            query.append(keys @ wq[part])
            query_bias.append(keys @ bq[part])
            restore.append(output[:, part] @ wv[part])
        bias = output @ bv + scale * (wr @ bo + br) + shift + offset
        return cls(query, query_bias, restore, bias, output)


def _linear(layer: Any) -> tuple[Matrix, Matrix]:
    """Weight [out, in] and bias [out] of a linear layer or a 1x1 convolution."""
    weight = array(layer.weight).astype(np.float64)
    weight = weight.reshape(weight.shape[0], -1)
    bias = np.zeros(weight.shape[0]) if layer.bias is None else array(layer.bias).astype(np.float64)
    return weight, bias


def _kernel(matrix: Matrix) -> NDArray[np.float32]:
    return matrix[:, :, None, None].astype(np.float32)


def _bias(vector: Matrix) -> NDArray[np.float32]:
    return vector.astype(np.float32)
