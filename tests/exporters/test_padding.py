"""Torch's symmetric padding in TFLite's terms, against torch itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.errors import ExportError
from exporters.execute import run
from exporters.lower import Builder, lower_function, lower_module


@settings(max_examples=120, deadline=None)
@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    depthwise=st.booleans(),
)
def test_symmetric_padding_is_exact_or_refused(size, kernel, stride, pad, depthwise):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, *size, 4)).astype(np.float32)
    groups = 4 if depthwise else 1
    weight = rng.normal(size=(4, 4 // groups, kernel, kernel)).astype(np.float32)
    builder = Builder()
    value = builder.input((1, 4, *size))
    try:
        y = builder.conv(value, weight, None, stride=(stride, stride), padding=(pad, pad), groups=groups)
    except ExportError:
        # Refused only where TFLite has no counterpart: never for plain windows, and never at the sizes of real nets.
        assert pad > 0 or min(size) < kernel
        assert not (2 * pad == kernel - 1 and stride <= 2 and min(size) >= kernel)
        return
    (actual,) = run(builder.finish([value], [y]), x)
    expected = torch.nn.functional.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(weight), None, stride, pad, 1, groups
    )
    np.testing.assert_allclose(actual, expected.permute(0, 2, 3, 1).numpy(), atol=1e-4)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=150, deadline=None)
@given(
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    own=st.one_of(st.integers(0, 1), st.sampled_from(["same", "valid"])),
    margins=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_zeros_in_front_of_a_convolution_are_its_padding_or_refused(size, kernel, stride, own, margins):
    if own == "same":
        stride = 1
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.ZeroPad2d(margins), torch.nn.Conv2d(3, 4, kernel, stride, own))
    x = torch.randn(2, 3, *size)
    builder = Builder()
    value = builder.input((1, 3, *size))
    try:
        y = lower_module(net[1], builder, lower_module(net[0], builder, value))
    except ExportError:
        # What TensorFlow calls SAME is never refused.
        total = [max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in size]
        usual = (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2)
        assert own not in (0, "valid") or margins != usual or min(total) == 0 < max(total)
        return
    (actual,) = run(builder.finish([value], [y]), x.permute(0, 2, 3, 1).numpy())
    with torch.no_grad():
        expected = net(x).permute(0, 2, 3, 1).numpy()
    assert y.torch_shape == (1, 4, *expected.shape[1:3])
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_padding_of_tensorflow_needs_no_larger_kernel():
    builder = Builder()
    x = builder.input((1, 3, 32, 32))
    padded = lower_function(torch.nn.functional.pad, builder, x, (0, 1, 0, 1))
    assert padded.torch_shape == (1, 3, 33, 33)
    y = lower_module(torch.nn.Conv2d(3, 8, 3, 2), builder, padded)
    graph = builder.finish([x], [y])
    (op,) = graph.operators
    assert op.options["padding"] == "SAME"
    assert graph.tensors[op.inputs[1]].shape == (8, 3, 3, 3)


def test_zeros_that_no_convolution_reads_are_refused():
    builder = Builder()
    x = builder.input((1, 3, 8, 8))
    padded = lower_module(torch.nn.ZeroPad2d(1), builder, x)
    with pytest.raises(ExportError, match="in front of a convolution"):
        lower_module(torch.nn.ReLU(), builder, padded)
    with pytest.raises(ExportError, match="in front of a convolution"):
        lower_function(torch.cat, builder, [x, padded], 1)
    with pytest.raises(ExportError, match="in front of a convolution"):
        builder.finish([x], [padded])
    for pad, options in (
        ((1, 1), {"mode": "reflect"}),
        ((1, 1), {"value": 0.5}),
        ((-1, 0), {}),
        ((0, 0, 0, 0, 1, 0), {}),
    ):
        with pytest.raises(ExportError, match="is not supported"):
            lower_function(torch.nn.functional.pad, builder, x, pad, **options)


def test_the_usual_strided_layer_needs_one_more_row_and_column():
    builder = Builder()
    x = builder.input((1, 3, 32, 32))
    y = builder.conv(x, np.ones((8, 3, 3, 3), np.float32), None, stride=(2, 2), padding=(1, 1))
    graph = builder.finish([x], [y])
    (op,) = graph.operators
    assert op.options["padding"] == "SAME"
    assert graph.tensors[op.inputs[1]].shape == (8, 4, 4, 3)
    assert y.shape == (1, 16, 16, 8)


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    ceil_mode=st.booleans(),
    average=st.booleans(),
)
def test_pools_are_exact_or_refused(size, kernel, stride, pad, ceil_mode, average):
    pad = (min(pad[0], kernel[0] // 2), min(pad[1], kernel[1] // 2))
    x = np.random.default_rng(1).normal(size=(2, *size, 3)).astype(np.float32)
    builder = Builder()
    value = builder.input((1, 3, *size))
    hanging = [s - 1 if ceil_mode else 0 for s in stride]  # by how much a window may be larger than the map
    fits = all(n + 2 * p + over >= k for n, p, k, over in zip(size, pad, kernel, hanging, strict=True))
    op = "AVERAGE_POOL_2D" if average else "MAX_POOL_2D"
    try:
        y = builder.pool(value, op, kernel, stride, pad, ceil_mode=ceil_mode)
    except ExportError:
        # Never for what real nets use: no padding, or an odd window with half of it.
        assert not fits or ceil_mode or any(pad)
        assert not (fits and not ceil_mode and all(2 * p == k - 1 for p, k in zip(pad, kernel, strict=True)))
        return
    assert fits
    (actual,) = run(builder.finish([value], [y]), x)
    nchw = torch.tensor(x).permute(0, 3, 1, 2)
    if average:
        expected = torch.nn.functional.avg_pool2d(nchw, kernel, stride, pad, ceil_mode, count_include_pad=False)
    else:
        expected = torch.nn.functional.max_pool2d(nchw, kernel, stride, pad, ceil_mode=ceil_mode)
    np.testing.assert_allclose(actual, expected.permute(0, 2, 3, 1).numpy(), atol=1e-5)


def test_a_padded_pool_is_one_operator_where_same_is_equal_and_two_elsewhere():
    for size, expected in ((9, ["SAME"]), (8, ["SAME", "VALID"])):
        builder = Builder()
        x = builder.input((1, 3, size, size))
        graph = builder.finish([x], [builder.pool(x, "MAX_POOL_2D", (3, 3), (2, 2), (1, 1))])
        assert [op.options["padding"] for op in graph.operators] == expected
