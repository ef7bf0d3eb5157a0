"""Both forms of local importance-based pooling against plain equations."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps, normalised, window_means  # noqa: E402

from sapool import pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402


def compared(pool, x):
    """lip: a 1x1 convolution, normalisation, sigmoid, disjoint windows."""
    mixed = torch.einsum("oc,bchw->bohw", pool.conv.weight[:, :, 0, 0], x)
    weight = torch.exp(1 / (1 + torch.exp(-normalised(pool.bn, mixed, pool.training))))
    return window_means(x * weight, pool.stride) / window_means(weight, pool.stride)


def published(pool, x):
    """lip_original: pixel by pixel; what lies beside the map has no weight."""
    batch, channels, height, width = x.shape
    padded = F.pad(x, (1, 1, 1, 1))
    mixed = torch.zeros_like(x)
    for i in range(3):
        for j in range(3):
            shifted = padded[:, :, i : i + height, j : j + width]
            mixed = mixed + torch.einsum("oc,bchw->bohw", pool.conv.weight[:, :, i, j], shifted)
    mean = mixed.mean((2, 3), keepdim=True)
    variance = ((mixed - mean) ** 2).mean((2, 3), keepdim=True)
    scaled = (mixed - mean) / (variance + pool.norm.eps) ** 0.5
    scaled = scaled * pool.norm.weight[:, None, None] + pool.norm.bias[:, None, None]
    weight = torch.exp(12 / (1 + torch.exp(-scaled)))
    rows, columns = -(-height // pool.stride), -(-width // pool.stride)
    y = torch.empty(batch, channels, rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            top, left = row * pool.stride - 1, column * pool.stride - 1
            window = (..., slice(max(0, top), top + 3), slice(max(0, left), left + 3))
            y[:, :, row, column] = (x[window] * weight[window]).sum((2, 3)) / weight[window].sum((2, 3))
    return y


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=15, deadline=None)
@given(SHAPES, st.booleans())
def test_lip_equals_the_equations(shape, training):
    channels, stride, rows, columns = shape
    pool = disturbed(pooling.create("lip", channels=channels, stride=stride)).train(training)
    assert_equal(pool, compared, maps(3, channels, rows * stride, columns * stride))


@settings(max_examples=15, deadline=None)
@given(SHAPES)
def test_the_published_form_equals_the_equations(shape):
    channels, stride, rows, columns = shape
    pool = disturbed(pooling.create("lip_original", channels=channels, stride=stride))
    assert_equal(pool, published, maps(2, channels, rows * stride + 1, columns * stride))


def test_the_published_form_starts_as_average_pooling():
    pool = pooling.create("lip_original", channels=3, stride=2, size=(8, 8)).double()
    x = maps(2, 3, 8, 8)
    expected = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(pool(x), expected)


@pytest.mark.parametrize("name", ["lip", "lip_original"])
def test_the_result_lies_within_its_window(name):
    pool = disturbed(pooling.create(name, channels=4, stride=2))
    x = maps(2, 4, 8, 8) * 100
    window, padding = (2, 0) if name == "lip" else (3, 1)
    assert (pool(x) <= F.max_pool2d(x, window, 2, padding) + 1e-9).all()
    assert (pool(x) >= -F.max_pool2d(-x, window, 2, padding) - 1e-9).all()


def test_what_the_published_form_cannot_do_is_refused():
    with pytest.raises(UsageError, match="a stride of 4 skips pixels between windows of 3x3"):
        pooling.create("lip_original", channels=4, stride=4, size=(8, 8))
    with pytest.raises(UsageError, match="a map of 1x1 has none"):
        pooling.create("lip_original", channels=4, stride=1, size=(1, 1))
