"""Range estimators, each against a plain reference on all values at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.quantize import Range
from exporters.quantize.estimators import estimator, methods, register
from exporters.quantize.estimators.histogram import BINS, Histogram
from exporters.quantize.estimators.percentile import TAIL
from exporters.quantize.scales import asymmetric, to_int8
from firmware_sim.errors import UsageError


def estimate(method, *batches):
    known = estimator(method)()
    for batch in batches:
        channels = batch.reshape(-1, batch.shape[-1])
        known.add(torch.as_tensor(batch), channels.min(axis=0), channels.max(axis=0))
    return known.range()


def maps_of(seed, examples=100):
    """Batches [B, H, W, C] of maps whose channels differ, with long tails, and whose examples differ too."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, (examples, 6, 6, 10)) * rng.lognormal(0, 0.5, 10) + rng.normal(0, 0.5, 10)
    return np.array_split((values * rng.lognormal(0, 0.2, (examples, 1, 1, 1))).astype(np.float32), 3)


def batches_of(seed, size=4000):
    """Three batches of growing size of values, with a long tail."""
    rng = np.random.default_rng(seed)
    return [(rng.standard_t(3, size) * 4.0**n).astype(np.float32) for n in range(3)]


def error(values, span, clipping=1):
    """Mean squared error of int8, by the functions that quantise for real; `clipping` times what is outside the range."""
    q = asymmetric(span)
    back = (to_int8(values, q).astype(float) - q.zero_point[0]) * q.scale[0]
    weights = np.where((values < span.low) | (values > span.high), clipping, 1)
    return float(np.mean(weights * (back - values) ** 2))


def test_the_default_comes_first():
    assert methods()[0] == "mse"
    assert {"minmax", "percentile"} <= set(methods())


def test_an_unknown_method_is_named_with_those_that_exist():
    with pytest.raises(UsageError, match="entropy") as caught:
        estimator("entropy")
    assert "percentile" in str(caught.value.hint)


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="exists already"):
        register("mse")(type("Other", (), {}))


@pytest.mark.parametrize("seed", range(3))
def test_minmax_is_numpy(seed):
    values = np.concatenate(batches_of(seed))
    assert estimate("minmax", *batches_of(seed)) == Range(float(values.min()), float(values.max()))


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
@pytest.mark.parametrize("values", [[0.0] * 5, [3.0] * 5, [-2.0] * 5, [1e-30, 0.0], [-1e38, 3e38]])
def test_zero_is_always_inside(method, values):
    values = np.array(values, np.float32)
    span = estimate(method, values)
    assert span.low <= 0 <= span.high
    # Nothing is far outside: a constant keeps its value.
    assert values.max() <= span.high * 1.12 + 1e-6
    assert values.min() >= span.low * 1.12 - 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_percentile_is_numpys_to_a_bin(seed):
    values = np.concatenate(batches_of(seed))
    span = estimate("percentile", *batches_of(seed))
    width = 2 * float(np.abs(values).max()) / BINS
    low, high = np.quantile(values, [TAIL, 1 - TAIL], method="inverted_cdf")
    assert span.low == pytest.approx(low, abs=width)
    assert span.high == pytest.approx(high, abs=width)
    assert np.mean(values < span.low) <= TAIL
    assert np.mean(values > span.high) <= TAIL
    assert span.high < values.max()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("examples", [10, 100, 400])
@pytest.mark.parametrize("rectified", [False, True])
def test_mse_is_about_as_good_as_a_search_over_all_values(seed, examples, rectified):
    batches = [np.maximum(batch, 0) if rectified else batch for batch in maps_of(seed, examples)]
    values = np.concatenate(batches)
    span = estimate("mse", *batches)
    shares = np.linspace(1, 0.2, 13)
    lows = [0.0] if rectified else values.min() * shares
    best = min(error(values, Range(float(low), float(values.max() * high)), 2) for low in lows for high in shares)
    found = error(values, span, 2)
    assert found <= 1.03 * best
    assert found <= error(values, estimate("minmax", *batches), 2)


def test_mse_gives_up_a_lonely_outlier():
    values = np.random.default_rng(0).normal(size=(100, 10, 10, 100)).astype(np.float32)
    values[7, 0, 0, 7] = 30.0
    span = estimate("mse", values)
    assert span.high < 20
    assert error(values, span) < 0.5 * error(values, estimate("minmax", values))


def test_mse_keeps_what_few_examples_do_not_show():
    """Values of which only examples that are not counted have any: clipping them would cost more than rounding."""
    values = np.random.default_rng(0).uniform(0, 1, (64, 10, 10, 100)).astype(np.float32)
    values[1::2, 5, 5] *= 10
    batches = [values[:32], values[32:]]
    assert estimate("mse", *batches).high > 8
    assert error(values, estimate("mse", *batches)) <= 1.02 * error(values, estimate("minmax", *batches))


@settings(max_examples=60)
@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), min_size=1, max_size=5))
def test_no_value_is_lost_while_the_histogram_grows(batches):
    histogram = Histogram()
    for batch in batches:
        values = torch.tensor(batch, dtype=torch.float32)
        histogram.add(values, float(values.min()), float(values.max()))
    values = np.concatenate([np.array(batch, np.float32) for batch in batches]).astype(np.float64)
    assert histogram.counts.sum() == values.size
    # Bins keep the order, so the sorted values are within half a bin of the centres, each as often as counted.
    centres = (np.arange(2 * BINS) - BINS + 0.5) * histogram.width
    np.testing.assert_allclose(np.repeat(centres, histogram.counts), np.sort(values), atol=histogram.width / 2, rtol=0)
