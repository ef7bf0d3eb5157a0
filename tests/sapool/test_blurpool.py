"""BlurPool against the published filters and a plain sum."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, maps  # noqa: E402

from sapool import pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402

# antialiased_cnns/blurpool.py, the authors' code: filters before they are normalised.
PUBLISHED = {
    1: [1], 2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1], 6: [1, 5, 10, 10, 5, 1],
    7: [1, 6, 15, 20, 15, 6, 1],
}  # fmt: skip


def equations(pool, x):
    """Output by output, with the published filters; an index outside the map is reflected at its first or last pixel."""
    taps = PUBLISHED[pool.taps]
    batch, channels, height, width = x.shape
    front = (len(taps) - 1) // 2
    rows, columns = -(-height // pool.stride), -(-width // pool.stride)
    y = torch.empty(batch, channels, rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            total = torch.zeros(batch, channels, dtype=x.dtype)
            for i, vertical in enumerate(taps):
                for j, horizontal in enumerate(taps):
                    down = reflected(row * pool.stride + i - front, height)
                    across = reflected(column * pool.stride + j - front, width)
                    total = total + vertical * horizontal * x[:, :, down, across]
            y[:, :, row, column] = total / sum(taps) ** 2
    return y


def reflected(index, extent):
    index = abs(index)
    return index if index < extent else 2 * (extent - 1) - index


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(PUBLISHED)), st.integers(1, 4), st.integers(4, 9), st.integers(4, 9))
def test_the_layer_equals_the_published_filters(taps, stride, height, width):
    pool = pooling.create("blurpool", channels=2, stride=stride, taps=taps)
    assert_equal(pool.double(), equations, maps(2, 2, height, width))


def test_the_filter_is_fixed():
    pool = pooling.create("blurpool", channels=2, stride=2, size=(8, 8))
    assert pool.taps == 4
    assert not list(pool.parameters())
    assert not pool.state_dict()
    assert pool.filter.sum() == 1
    constant = torch.full((1, 2, 8, 8), 3.0)
    torch.testing.assert_close(pool(constant), torch.full((1, 2, 4, 4), 3.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"taps": 0}, "taps must be a positive whole number, not 0"),
        ({"taps": 8}, "8 taps\n  choose 1 to 7"),
        ({"size": (2, 4)}, "4 taps reflect 2 pixels, and a map of 2x4 has no more\n  choose taps up to 3"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        pooling.create("blurpool", **{"channels": 2, "stride": 2, "size": (8, 8), **arguments})
