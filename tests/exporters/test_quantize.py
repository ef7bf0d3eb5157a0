"""Scales, shared scales and integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from exporters.errors import ExportError
from exporters.execute import run
from exporters.graph import Quantization
from exporters.lower import Builder
from exporters.quantize import Motion, Range, observe, quantize
from exporters.quantize.scales import asymmetric, to_int8, weight_and_bias
from exporters.tflite import PIXELS
from exporters.trace import trace


@given(low=st.floats(-1e4, 0), high=st.floats(0, 1e4))
def test_zero_is_exact_and_the_range_is_covered(low, high):
    q = asymmetric(Range(low, high))
    (scale,), (zero_point,) = q.scale, q.zero_point
    assert -128 <= zero_point <= 127
    values = np.array([low, 0.0, high])
    back = (to_int8(values, q).astype(float) - zero_point) * scale
    assert back[1] == 0
    # At most half a step off inside the range, and one more half where the zero point was rounded.
    np.testing.assert_allclose(back, values, atol=1.01 * scale)


def test_weights_are_symmetric_per_channel_and_the_bias_fits():
    weight = np.array([[[[1.0, -2.0]]], [[[0.0, 0.0]]], [[[1e-9, 0.0]]]], np.float32)
    bias = np.array([0.5, 3.0, -2.0], np.float32)
    integers, wq, offsets, bq = weight_and_bias(weight, bias, 0.01, 0)
    assert integers.min() >= -127
    assert integers[0].tolist() == [[[64, -127]]]  # 63.5 rounds to even
    assert wq.zero_point == (0, 0, 0)
    np.testing.assert_allclose(np.array(bq.scale), np.array(wq.scale) * 0.01, rtol=1e-6)
    np.testing.assert_allclose(offsets * np.array(bq.scale), bias, rtol=1e-2)
    # A channel without weights keeps its bias exactly enough and inside int32.
    assert abs(int(offsets[1])) <= 2**31 - 1


def test_pools_share_the_scale_of_what_they_read():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2), nn.Conv2d(4, 2, 1))
    graph = trace(net, (1, 3, 8, 8))
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    quantised = quantize(graph, observe(graph, [x]))
    conv, pool = quantised.operators[:2]
    assert quantised.tensors[conv.outputs[0]].quantization == quantised.tensors[pool.outputs[0]].quantization


def test_no_float_tensor_is_left(foreign, inputs):
    graph = trace(foreign, (1, 3, 16, 16))
    quantised = quantize(graph, observe(graph, [inputs]), input_quantization=PIXELS)
    assert {tensor.dtype for tensor in quantised.tensors.values()} == {"int8", "int32"}
    assert quantised.tensors[quantised.inputs[0]].quantization == PIXELS
    logistic = next(op for op in quantised.operators if op.op == "LOGISTIC")
    assert quantised.tensors[logistic.outputs[0]].quantization == Quantization((1 / 256,), (-128,))


def test_ranges_and_channels_are_those_of_numpy():
    """Of maps, vectors and what a slice leaves, over several batches of unequal size."""
    network = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.Conv2d(5, 7, 2), nn.Flatten(), nn.Linear(14, 4))
    graph = trace(network, (1, 3, 8, 6))
    batches = [np.random.default_rng(n).normal(size=(n, 8, 6, 3)).astype(np.float32) for n in (3, 1, 4)]
    seen = {}
    run(graph, np.concatenate(batches), lambda name, values: seen.setdefault(name, values.numpy().copy()))
    motion = Motion()
    ranges = observe(graph, batches, motion=motion)
    assert ranges.keys() == seen.keys()
    for name, values in seen.items():
        low, high = min(0.0, values.min()), max(0.0, values.max())
        assert (ranges[name].low, ranges[name].high) == pytest.approx((low, high), abs=1e-5)
        rows = values.reshape(-1, values.shape[-1])
        spans = np.maximum(rows.max(0), 0) - np.minimum(rows.min(0), 0)
        np.testing.assert_allclose(motion.spans()[name], spans, atol=1e-5)


def test_two_different_fixed_scales_in_one_group_are_refused():
    builder = Builder()
    x = builder.input((1, 4, 8, 8))
    y = builder.concatenation([x, builder.unary("LOGISTIC", x)])
    graph = builder.finish([x], [y])
    data = np.zeros((1, 8, 8, 4), np.float32)
    with pytest.raises(ExportError, match="shares its integers"):
        quantize(graph, observe(graph, [data]), input_quantization=PIXELS)


def test_a_nan_weight_is_named():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    with torch.no_grad():
        net[2].weight[0, 0] = float("nan")
    graph = trace(net, (1, 3, 4, 4))
    with pytest.raises(ExportError) as caught:
        observe(graph, [np.ones((1, 4, 4, 3), np.float32)])
    assert caught.value.where == "2"


def test_calibration_needs_data_of_the_right_shape():
    graph = trace(nn.Conv2d(3, 4, 1), (1, 3, 4, 4))
    with pytest.raises(ExportError, match="no calibration data"):
        observe(graph, [])
    with pytest.raises(ExportError, match=r"\[8, 8, 3\]"):
        observe(graph, [np.ones((1, 8, 8, 3), np.float32)])
