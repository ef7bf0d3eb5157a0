"""Self-attentive pooling in integer operators: multi-head attention over shared tokens, no transpose, no exponential.

Key projections are folded into the queries, value, output and restoration projections into one matrix (the key bias
drops out of the softmax). All heads then share the tokens as keys and values, so heads are extra rows of one product and a
row-major RESHAPE takes the place of every TRANSPOSE. All of it is exact; the only approximation is that of exp(sigmoid(z)).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.lower import Builder, Value, register
from exporters.lower.arrays import array, batch_norm
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
    pooled = builder.average_pool(x, inner)
    tokens = _tokens(module, builder, x)
    weights = builder.resize_nearest(_weights(module, builder, tokens), module.patch // inner)
    outer = module.stride // inner
    weighted = builder.average_pool(builder.elementwise("MUL", pooled, weights), outer)
    if not module.window_norm:
        return weighted
    return builder.elementwise("DIV", weighted, builder.average_pool(weights, outer))


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


def _weights(module: SelfAttentivePooling, builder: Builder, tokens: Value) -> Value:
    """[1, n, n, C]: exp(sigmoid(restoration of the attention over the tokens))."""
    heads = module.heads
    _, rows, columns, width = tokens.shape
    count = rows * columns
    query, query_bias, restore, restore_bias = folded(module)
    with builder.at(f"{builder.where}.attention"):
        queries = builder.conv(tokens, _kernel(query), query_bias.astype(np.float32))
        queries = builder.reshape(queries, (1, count * heads, width))
        keys = builder.reshape(tokens, (1, count, width))
        shares = builder.softmax(builder.batch_matmul(queries, keys, transpose_b=True))
        mixed = builder.reshape(builder.batch_matmul(shares, keys), (1, rows, columns, heads * width))
    with builder.at(f"{builder.where}.restore"):
        logits = builder.conv(mixed, _kernel(restore), restore_bias.astype(np.float32))
        return gates.exp_of_sigmoid(builder, logits)


def folded(module: SelfAttentivePooling) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """The two affine maps around the softmax, in double precision.

    Returns:
        query [h*E, E] and its bias [h*E]: head i holds Wk_i^T Wq_i / sqrt(d) and Wk_i^T bq_i / sqrt(d);
        restore [C, h*E] and its bias [C]: head i holds Wr Wo_i Wv_i, with the normalisation and the slope and offset of
        the gate folded in.
    """
    attention, heads = module.attention, module.heads
    wq, bq = _linear(attention.query)
    wk, _ = _linear(attention.key)
    wv, bv = _linear(attention.value)
    wo, bo = _linear(attention.output)
    wr, br = _linear(module.restore.conv)
    scale, shift = (a.astype(np.float64) for a in batch_norm(module.restore.bn))
    depth = wq.shape[0] // heads
    query, query_bias, restore = [], [], []
    for head in range(heads):
        part = slice(head * depth, (head + 1) * depth)
        keys = wk[part].T / math.sqrt(depth)
        query.append(keys @ wq[part])
        query_bias.append(keys @ bq[part])
        restore.append(wr @ wo[:, part] @ wv[part])
    slope = gates.SLOPE * scale
    bias = slope * (wr @ (wo @ bv + bo) + br) + gates.SLOPE * shift + gates.OFFSET
    return np.concatenate(query), np.concatenate(query_bias), slope[:, None] * np.concatenate(restore, axis=1), bias


def _linear(layer: Any) -> tuple[Matrix, Matrix]:
    """Weight [out, in] and bias [out] of a linear layer or a 1x1 convolution."""
    weight = array(layer.weight).astype(np.float64)
    weight = weight.reshape(weight.shape[0], -1)
    bias = np.zeros(weight.shape[0]) if layer.bias is None else array(layer.bias).astype(np.float64)
    return weight, bias


def _kernel(matrix: Matrix) -> NDArray[np.float32]:
    return matrix[:, :, None, None].astype(np.float32)
