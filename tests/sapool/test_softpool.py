"""SoftPool against plain equations."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, maps, window_means  # noqa: E402

from sapool import pooling  # noqa: E402


def equations(pool, x):
    weight = torch.exp(x)
    return window_means(x * weight, pool.stride) / window_means(weight, pool.stride)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_the_layer_equals_the_equations(channels, stride, rows, columns):
    pool = pooling.create("softpool", channels=channels, stride=stride)
    assert_equal(pool, equations, maps(2, channels, rows * stride, columns * stride))


def test_rows_that_fill_no_window_are_left_out():
    pool = pooling.create("softpool", channels=2, stride=2)
    x = maps(1, 2, 7, 5)
    torch.testing.assert_close(pool(x), pool(x[:, :, :6, :4]))


def test_large_values_do_not_overflow():
    # e^x leaves float32 at 89; the layer goes over into max pooling instead.
    x = torch.randn(2, 3, 8, 8) * 1e4
    pool = pooling.create("softpool", channels=3, stride=2)
    torch.testing.assert_close(pool(x), F.max_pool2d(x, 2), atol=1, rtol=1e-5)


def test_it_lies_between_average_and_maximum():
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    y = pooling.create("softpool", channels=3, stride=2)(x)
    assert (y >= F.avg_pool2d(x, 2)).all()
    assert (y <= F.max_pool2d(x, 2)).all()
