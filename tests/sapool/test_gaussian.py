"""Gaussian-based pooling against plain equations; its noise belongs to training."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps, normalised  # noqa: E402

from sapool import pooling  # noqa: E402


def equations(pool, x, noise=None):
    batch, channels, height, width = x.shape
    whole = x.sum((2, 3)) / (height * width)

    def head(layer, values):
        values = values @ layer.conv.weight[:, :, 0, 0].T + layer.conv.bias
        return normalised(layer.bn, values, pool.training)

    z = head(pool.hidden, whole).clamp_min(0)
    share = head(pool.mean, z)[:, :, None, None]
    if noise is not None:
        share = share + noise / (1 + torch.exp(-head(pool.deviation, z)))[:, :, None, None]
    factor = torch.log(1 + torch.exp(share)).expand(batch, channels, height // pool.stride, width // pool.stride)
    y = torch.empty_like(factor)
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            s = pool.stride
            window = x[:, :, row * s : (row + 1) * s, column * s : (column + 1) * s].flatten(2)
            mean = window.mean(2)
            deviation = ((window - mean[..., None]) ** 2).mean(2).clamp_min(1e-6) ** 0.5
            y[:, :, row, column] = mean + factor[:, :, row, column] * deviation
    return y


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_inference_equals_the_equations(channels, stride, rows, columns):
    pool = disturbed(pooling.create("gaussian", channels=channels, stride=stride))
    x = maps(3, channels, rows * stride, columns * stride)
    actual, expected = pool(x), equations(pool, x)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    wanted = [x, *pool.hidden.parameters(), *pool.mean.parameters()]
    ours, theirs = (torch.autograd.grad(y.square().sum(), wanted) for y in (actual, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_training_equals_the_equations_with_the_noise_that_was_drawn(monkeypatch):
    pool = disturbed(pooling.create("gaussian", channels=6, stride=2)).train()
    drawn = torch.randn(4, 6, 4, 3, dtype=torch.float64)
    monkeypatch.setattr(torch, "randn_like", lambda like: drawn.expand(like.shape))
    assert_equal(pool, lambda pool, x: equations(pool, x, drawn), maps(4, 6, 8, 6))


def test_noise_is_drawn_in_training_only():
    pool = disturbed(pooling.create("gaussian", channels=6, stride=2))
    x = maps(4, 6, 8, 8)
    assert torch.equal(pool(x), pool(x))
    pool.train()
    assert not torch.equal(pool(x), pool(x))
    torch.manual_seed(3)
    first = pool(x)
    torch.manual_seed(3)
    assert torch.equal(pool(x), first)


def test_a_flat_window_has_a_finite_gradient():
    pool = disturbed(pooling.create("gaussian", channels=2, stride=2))
    x = torch.ones(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    y = pool(x)
    torch.testing.assert_close(y, F.avg_pool2d(x, 2), atol=1e-2, rtol=0)
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
