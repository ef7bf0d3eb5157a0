"""RNNPool against plain equations and the shapes of its paper."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps  # noqa: E402

from sapool import pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402
from sapool.pooling.rnnpool import FastGRNN, RNNPool  # noqa: E402


def last_state(cell, steps):
    """FastGRNN from a state of zero, as its paper writes it."""
    state = torch.zeros(steps[0].shape[0], cell.recurrent.shape[0], dtype=steps[0].dtype)
    for x in steps:
        drive = x @ cell.weight.T + state @ cell.recurrent.T
        gate = 1 / (1 + torch.exp(-(drive + cell.gate_bias)))
        update = torch.tanh(drive + cell.update_bias)
        state = (torch.sigmoid(cell.zeta) * (1 - gate) + torch.sigmoid(cell.nu)) * update + gate * state
    return state


def equations(pool, x):
    """Patch by patch: algorithm 1."""
    batch, channels, height, width = x.shape
    s, p = pool.stride, pool.patch
    line, across = pool.cells.line, pool.cells.across
    front = (p - s) // 2
    padded = torch.zeros(batch, channels, height + p - s, width + p - s, dtype=x.dtype)
    padded[:, :, front : front + height, front : front + width] = x
    y = torch.empty(batch, channels, height // s, width // s, dtype=x.dtype)
    for row in range(height // s):
        for column in range(width // s):
            patch = padded[:, :, row * s : row * s + p, column * s : column * s + p]
            rows = [last_state(line, [patch[:, :, i, j] for j in range(p)]) for i in range(p)]
            columns = [last_state(line, [patch[:, :, i, j] for i in range(p)]) for j in range(p)]
            orders = (rows, rows[::-1], columns, columns[::-1])
            y[:, :, row, column] = torch.cat([last_state(across, order) for order in orders], 1)
    return y


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([4, 8]), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(1, 3))
def test_the_layer_equals_the_equations(channels, stride, wider, rows, columns):
    pool = disturbed(pooling.create("rnnpool", channels=channels, stride=stride, patch=stride + wider))
    with torch.no_grad():  # where the two factors matter
        for cell in (pool.cells.line, pool.cells.across):
            cell.zeta.fill_(0.3)
            cell.nu.fill_(-0.5)
    assert_equal(pool, equations, maps(2, channels, rows * stride, columns * stride))


@pytest.mark.oracle
def test_the_stem_of_mobilenet_v2_has_the_published_shape():
    # The paper: patches of 6x6 at a stride of 4, h1 = h2 = 16, turn 112x112x32 into 28x28x64.
    cells = RNNPool(32, 16, 16)
    x = torch.nn.functional.pad(torch.randn(1, 32, 112, 112), (1, 1, 1, 1))
    patches = x.unfold(2, 6, 4).unfold(3, 6, 4).permute(0, 2, 3, 4, 5, 1)
    with torch.inference_mode():
        assert cells(patches, 6, 6).shape == (1, 28, 28, 64)
    assert pooling.create("rnnpool", channels=64, stride=4).patch == 6


@pytest.mark.parametrize(("channels", "hidden", "summary"), [(32, 16, 16), (3, 8, 8), (64, 16, 4)])
def test_what_it_costs(channels, hidden, summary):
    # W, U, two biases, zeta and nu of each cell; one RNN1 for rows and columns, one RNN2 for both and both directions.
    counts = [sum(p.numel() for p in cell.parameters()) for cell in RNNPool(channels, hidden, summary).children()]
    assert counts == [hidden * (channels + hidden + 2) + 2, summary * (hidden + summary + 2) + 2]


def test_it_starts_as_published():
    cell = FastGRNN(64, 64)
    assert cell.weight.std().item() == pytest.approx(0.1, rel=0.1)
    assert cell.recurrent.std().item() == pytest.approx(0.1, rel=0.1)
    assert cell.gate_bias.eq(1).all()
    assert cell.update_bias.eq(1).all()
    assert (cell.zeta.sigmoid().item(), cell.nu.sigmoid().item()) == (1.0, pytest.approx(0, abs=1e-40))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 6}, r"gives 4\*h channels and cannot keep 6\n  choose a multiple of 4"),
        ({"patch": 1}, "patches of 1 at a stride of 2 skip pixels\n  choose a patch of 2 or more"),
        ({"patch": 0}, "the patch must be a positive whole number, not 0"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        pooling.create("rnnpool", **{"channels": 8, "stride": 2, "size": (8, 8), **arguments})
