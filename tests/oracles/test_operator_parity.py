"""Every operator that the exporters write gives the same bytes in TFLM and in LiteRT, and close to the float result."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

from exporters.execute import run
from exporters.flatbuffer import serialise
from exporters.lower import Builder
from exporters.operators import KINDS
from exporters.parity import compare
from exporters.quantize import observe, quantize

pytestmark = pytest.mark.oracle


def conv(builder, x, channels, kernel=1, stride=1, activation="NONE", seed=0):
    rng = np.random.default_rng(seed + channels)
    fan_in = x.shape[3] * kernel * kernel
    weight = rng.normal(0, fan_in**-0.5, (channels, x.shape[3], kernel, kernel)).astype(np.float32)
    bias = rng.normal(0, 0.1, channels).astype(np.float32)
    return builder.conv(x, weight, bias, stride=(stride, stride), padding="SAME", activation=activation)


def windows_by_division(b, x):
    gate = b.affine(b.unary("LOGISTIC", conv(b, x, 8)), np.full(8, math.e - 1, np.float32), np.ones(8, np.float32))
    weighted = b.elementwise("MUL", conv(b, x, 8, seed=1), gate)
    return b.elementwise("DIV", b.average_pool(weighted, 2), b.average_pool(gate, 2))


def attention(b, x):
    tokens = b.reshape(conv(b, x, 8, 2, 2), (1, 64, 8))
    queries = b.reshape(conv(b, x, 16, 2, 2), (1, 128, 8))
    shares = b.softmax(b.batch_matmul(queries, tokens, transpose_b=True))
    return b.reshape(b.batch_matmul(shares, tokens), (1, 8, 8, 16))


def activations(b, x):
    y = b.unary("HARD_SWISH", conv(b, x, 8, 3, 2, "RELU6"))
    z = b.unary("RELU6", b.unary("RELU", conv(b, y, 8)))
    return b.elementwise("SUB", y, z)


def pools(b, x):
    y = conv(b, x, 8, 3, 1, "RELU")
    y = b.pool(y, "MAX_POOL_2D", (3, 3), (2, 2), "SAME")
    z = b.pool(y, "AVERAGE_POOL_2D", (3, 3), (1, 1), "SAME")
    return b.concatenation([b.elementwise("ADD", y, z), z])


def resized(b, x):
    y = b.resize_nearest(conv(b, x, 4, 2, 2), 2)
    return b.elementwise("ADD", y, np.linspace(-1, 1, 4, dtype=np.float32).reshape(1, 1, 1, 4))


def fixed_ranges(b, x):
    y = b.unary("TANH", conv(b, x, 8))
    z = b.unary("LEAKY_RELU", conv(b, y, 8), {"alpha": 0.1})
    return b.softmax(b.slice(z, (0, 2, 3, 1), (1, 10, 8, 6)), "LOG_SOFTMAX")


def strided_depthwise(b, x):
    rng = np.random.default_rng(3)
    y = b.reflect(conv(b, x, 6), 1, 2)
    weight = rng.normal(size=(6, 1, 5, 5)).astype(np.float32)
    return b.conv(y, weight, None, stride=(2, 2), padding="SAME", groups=6)


NETS = (windows_by_division, attention, activations, pools, resized, strided_depthwise, fixed_ranges)


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_tflm_and_litert_agree_to_the_byte(net):
    builder = Builder()
    x = builder.input((1, 3, 16, 16))
    graph = builder.finish([x], [net(builder, x)])
    data = np.random.default_rng(0).normal(size=(24, 16, 16, 3)).astype(np.float32)
    quantised = quantize(graph, observe(graph, [data]))
    content = serialise(quantised, description=net.__name__)
    integers = integer(quantised, data)
    parity = compare(content, integers)
    assert parity.examples == 24
    assert parity.equal
    (expected,) = run(graph, data)
    assert relative_error(content, quantised, integers, expected) < 0.06


def integer(graph, data):
    q = graph.tensors[graph.inputs[0]].quantization
    return np.clip(np.rint(data / q.scale[0]) + q.zero_point[0], -128, 127).astype(np.int8)


def relative_error(content, graph, integers, expected):
    from firmware_sim.run.litert import LiteRt

    model = LiteRt(content)
    q = graph.tensors[graph.outputs[0]].quantization
    outputs = np.concatenate([model.invoke(example[None])[0] for example in integers]).astype(np.float64)
    outputs = (outputs - q.zero_point[0]) * q.scale[0]
    return float(np.sqrt(np.mean((outputs.reshape(expected.shape) - expected) ** 2)) / expected.std())


def test_every_operator_is_covered():
    written = set()
    for net in NETS:
        builder = Builder()
        x = builder.input((1, 3, 16, 16))
        written |= {op.op for op in builder.finish([x], [net(builder, x)]).operators}
    assert written == set(KINDS)
