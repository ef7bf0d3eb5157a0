"""Networks of strangers on the device: integer only, the same bytes in TFLM and LiteRT, and the predicted arena."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.foreign_nets import NETS, TwoHeads
from support.nets import randomise
from torch import nn

from exporters import tflite
from exporters.execute import run
from exporters.parity import compare
from firmware_sim import memreport
from firmware_sim.model import read
from firmware_sim.run.litert import LiteRt

pytestmark = pytest.mark.oracle

FORBIDDEN = {"QUANTIZE", "DEQUANTIZE", "PAD", "PADV2", "FULLY_CONNECTED", "TRANSPOSE", "MEAN", "RESHAPE", "RELU6"}


def reaches_the_device(net, pixels):
    """Export, and everything that is promised of an export; returns the model and int8's distance from float."""
    integers = [(p - 128).astype(np.int8) for p in pixels]
    floats = tuple(p.astype(np.float32) / 128 - 1 for p in pixels)
    shapes = [(1, p.shape[3], p.shape[1], p.shape[2]) for p in pixels]
    model = tflite.export(net, shapes, [floats])
    assert model.lowering_error < 1e-4
    graph = model.graph
    assert not FORBIDDEN & {op.op for op in graph.operators}
    assert {tensor.dtype for tensor in graph.tensors.values()} <= {"int8", "int32"}
    assert all(graph.tensors[name].dtype == "int8" for name in (*graph.inputs, *graph.outputs))
    for op in graph.operators:
        if op.op in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            channels = graph.tensors[op.outputs[0]].shape[3]
            assert len(graph.tensors[op.inputs[1]].quantization.scale) == channels
        elif op.op == "CONCATENATION":
            assert len(op.inputs) <= 10
            assert len({graph.tensors[name].quantization for name in (*op.inputs, *op.outputs)}) == 1
    parity = compare(model.content, *integers)
    assert parity.equal, f"{parity.differing} of {parity.examples} differ"
    arena = memreport(read(model.content)).arena
    assert (arena.total_bytes, arena.exact) == (parity.arena.total_bytes, True)
    device = LiteRt(model.content)
    outputs = [device.invoke(*(x[None] for x in example)) for example in zip(*integers, strict=True)]
    errors = []
    for i, (name, expected) in enumerate(zip(graph.outputs, run(model.float_graph, floats), strict=True)):
        q = graph.tensors[name].quantization
        actual = (np.concatenate([o[i] for o in outputs]).astype(np.float64) - q.zero_point[0]) * q.scale[0]
        errors.append(float(np.sqrt(np.mean((actual - expected) ** 2)) / (expected.std() or 1)))
    return model, max(errors)


def pictures(count, *shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape))


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_published_styles_reach_the_device_unchanged(net):
    torch.manual_seed(0)
    _, error = reaches_the_device(randomise(net()), [pictures(24, 32, 32, 3)])
    # The logarithm at the end of LeNet has a fixed scale of 1/16.
    assert error < (0.15 if net.__name__ == "LeNet" else 0.04)


def test_real_pictures_of_digits_reach_the_device_unchanged():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = (datasets.load_digits().images[:40] * 15.9).astype(np.int64).repeat(2, 1).repeat(2, 2)[..., None]
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    _, error = reaches_the_device(randomise(net), [digits])
    assert error < 0.04


def test_two_inputs_and_two_outputs_reach_the_device():
    _, error = reaches_the_device(randomise(TwoHeads()), [pictures(12, 16, 16, 3), pictures(12, 16, 16, 3, seed=1)])
    assert error < 0.04


def test_a_sigmoid_and_the_input_beside_plain_features_keep_their_ranges():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            y = self.conv(x) * 20
            return torch.cat([x, y, torch.sigmoid(y), F.max_pool2d(x, 3, 1, 1)], 1)

    model, error = reaches_the_device(randomise(Mixed()), [pictures(12, 8, 8, 3)])
    assert error < 0.04
    # One rescaling each: the input, the sigmoid, and the pool that shares the input's scale.
    assert [op.op for op in model.graph.operators].count("DEPTHWISE_CONV_2D") == 3


def test_a_sigmoid_of_the_input_itself_is_the_same():
    # Under the scale of pixels 1/128 it has results half way between two integers, which the two round differently.
    net = nn.Sequential(nn.Sigmoid(), nn.Conv2d(3, 4, 1))
    every = np.arange(256).reshape(1, 16, 16, 1).repeat(3, 3)
    model, _ = reaches_the_device(randomise(net), [every])
    assert [op.op for op in model.graph.operators] == ["DEPTHWISE_CONV_2D", "LOGISTIC", "CONV_2D"]


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("pool", [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(5, 3, 2, count_include_pad=False)])
def test_padded_pools_are_exact(size, pool):
    model, _ = reaches_the_device(nn.Sequential(nn.Conv2d(3, 4, 1), pool), [pictures(6, size, size, 3)])
    (graph, conv) = model.graph, model.graph.operators[0]
    (values,) = run(model.float_graph, pictures(2, size, size, 3).astype(np.float32))
    assert values.shape[1] == -(-size // (2 if isinstance(pool, nn.MaxPool2d) else 3))
    # Nothing is rescaled on the way: pools only compare or average the convolution's integers.
    assert graph.tensors[graph.outputs[0]].quantization == graph.tensors[conv.outputs[0]].quantization


def layers(channels):
    """One layer that keeps a map of `channels` a map, and the channels of its result."""

    def conv(out, kernel, stride, groups, dilation):
        groups = groups if channels % groups == 0 and out % groups == 0 else 1
        return nn.Conv2d(channels, out, kernel, stride, dilation * (kernel // 2), dilation, groups), out

    convolutions = st.builds(
        conv, st.sampled_from([4, 6, 8]), st.sampled_from([1, 3, 5]), st.just(1), st.sampled_from([1, 2, 4]),
        st.sampled_from([1, 2]),
    )  # fmt: skip
    strided = st.builds(conv, st.sampled_from([4, 8]), st.sampled_from([1, 3, 5]), st.just(2), st.just(1), st.just(1))
    activations = [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.SiLU, nn.Tanh, nn.LeakyReLU]
    same = st.sampled_from([
        *activations, lambda: nn.BatchNorm2d(channels), lambda: nn.MaxPool2d(3, 2, 1), lambda: nn.AvgPool2d(3, 1, 1),
        lambda: nn.MaxPool2d(2, ceil_mode=True), lambda: nn.Upsample(scale_factor=2), lambda: Residual(channels),
        lambda: nn.Conv2d(channels, channels, 3, padding=1, groups=channels), lambda: Gate(channels),
    ])  # fmt: skip
    joined = st.just((Join(channels), 2 * channels))
    return st.one_of(convolutions, strided, joined, same.map(lambda make: (make(), channels)))


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return F.relu(x + self.conv(x))


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]


class Join(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return torch.cat([x, self.conv(x)], 1)


@st.composite
def nets(draw):
    channels, parts = 3, []
    for _ in range(draw(st.integers(2, 7))):
        part, channels = draw(layers(channels))
        parts.append(part)
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(net=nets(), size=st.sampled_from([11, 12, 16]), seed=st.integers(0, 99))
def test_random_networks_reach_the_device_unchanged(net, size, seed):
    reaches_the_device(randomise(net, seed), [pictures(6, size, size, 3, seed=seed)])
