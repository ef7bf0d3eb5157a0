"""ULSAM against plain equations and the published cost."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps, normalised, window_means  # noqa: E402

from sapool import pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402
from sapool.pooling.ulsam import ULSAM  # noqa: E402


def equations(module, x):
    """Group by group, as the paper tells it: each has weights of its own, and the groups are joined again."""
    channels, height, width = x.shape[1:]
    depth = channels // module.groups
    t = normalised(module.scale_bn, x * module.scale.weight.reshape(1, -1, 1, 1), module.training).clamp_min(0)
    padded = F.pad(t, (1, 1, 1, 1), value=float("-inf"))
    shifted = [padded[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    t = torch.stack(shifted).amax(0)
    points = []
    for group in range(module.groups):
        part = t[:, group * depth : (group + 1) * depth]
        points.append((part * module.point.weight[group].reshape(1, depth, 1, 1)).sum(1))
    scores = normalised(module.point_bn, torch.stack(points, 1), module.training).clamp_min(0)
    joined = []
    for group in range(module.groups):
        exponential = torch.exp(scores[:, group])
        attention = exponential / exponential.sum((1, 2), keepdim=True)
        part = x[:, group * depth : (group + 1) * depth]
        strength = 1 if module.gain is None else 1 + height * width * module.gain[group]
        joined.append(strength * attention[:, None] * part + part)
    return torch.cat(joined, 1)


def pooled(pool, x):
    return window_means(equations(pool.attention, x), pool.stride)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([(4, 1), (4, 4), (6, 3), (8, 4)]), st.integers(1, 6), st.integers(1, 6), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_the_module_equals_the_equations(shape, height, width, gain, training):
    channels, groups = shape
    module = disturbed(ULSAM(channels, groups, gain)).train(training)
    assert_equal(module, equations, maps(3, channels, height, width))


@pytest.mark.parametrize("gain", [False, True])
def test_the_pool_equals_the_equations(gain):
    pool = pooling.create("ulsam", channels=8, stride=2, size=(6, 4), groups=2, gain=gain)
    assert_equal(disturbed(pool), pooled, maps(2, 8, 6, 4))


@pytest.mark.oracle
@pytest.mark.parametrize(("channels", "groups"), [(512, 1), (512, 4), (96, 4)])
def test_it_costs_what_was_published(channels, groups):
    # The paper: 2*C parameters, without normalisation.
    module = ULSAM(channels, groups)
    assert sum(p.numel() for part in (module.scale, module.point) for p in part.parameters()) == 2 * channels
    assert sum(p.numel() for p in ULSAM(channels, groups, gain=True).parameters()) == (
        sum(p.numel() for p in module.parameters()) + groups
    )


def test_attention_sums_to_one():
    module = disturbed(ULSAM(8, 4))
    attention = module.attention(maps(2, 8, 5, 7))
    assert attention.shape == (2, 4, 5, 7)
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(2, 4, dtype=torch.float64))


def test_a_gain_starts_as_published():
    torch.manual_seed(0)
    module = ULSAM(8, 2, gain=True)
    plain = ULSAM(8, 2)
    plain.load_state_dict({name: value for name, value in module.state_dict().items() if name != "gain"})
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(module(x), plain(x))
    module(x).square().sum().backward()
    assert (module.gain.grad != 0).all()


@pytest.mark.parametrize(("extent", "steps"), [(7, 2.6), (14, 0.65), (28, 0.16)])
def test_what_int8_sees_of_uniform_attention(extent, steps):
    # At full scale (127 steps) a uniform A adds 127/(H*W) steps: why the published layer is the identity on a device
    # above 7x7; a gain of 1/8 makes it 16 steps at any extent.
    module = ULSAM(4, 1, gain=True).eval()
    torch.nn.init.zeros_(module.point.weight)
    x = torch.full((1, 4, extent, extent), 127.0)
    assert (module(x) - x).mean().item() == pytest.approx(steps, abs=0.01)
    with torch.no_grad():
        module.gain.fill_(1 / 8)
    assert (module(x) - x).mean().item() == pytest.approx(steps + 127 / 8, abs=0.01)


@pytest.mark.parametrize("build", [ULSAM, lambda channels, groups: pooling.create(
    "ulsam", channels=channels, stride=2, groups=groups)], ids=["module", "pool"])  # fmt: skip
def test_groups_must_divide_the_channels(build):
    with pytest.raises(UsageError, match=r"4 groups do not divide 6 channels\n  choose groups from 1, 2, 3, 6"):
        build(6, 4)
