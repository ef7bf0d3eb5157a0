"""Subspace attention against plain equations, and against squeeze-and-excitation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps, window_means  # noqa: E402

from sapool import pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402
from sapool.pooling.subspace_attention import SubspaceAttention  # noqa: E402


def equations(module, x):
    """Channel by channel: squeeze by u_i v_j, two layers, sigmoid, scale."""
    batch, channels, height, width = x.shape
    squeezed = []
    for channel in range(channels):
        group = channel // (channels // module.groups)
        total = torch.zeros(batch, dtype=x.dtype)
        for i in range(height):
            for j in range(width):
                total = total + module.row[group, i] * module.column[group, j] * x[:, channel, i, j]
        squeezed.append(total)
    z = torch.stack(squeezed, 1)
    hidden = (z @ module.reduce.weight[:, :, 0, 0].T + module.reduce.bias).clamp_min(0)
    gate = 1 / (1 + torch.exp(-(hidden @ module.expand.weight[:, :, 0, 0].T + module.expand.bias)))
    return x * gate[:, :, None, None]


def pooled(pool, x):
    """Gate at full resolution, then the mean of each window: the order in which the method is told."""
    return window_means(equations(pool.attention, x), pool.stride)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([(4, 1), (4, 4), (6, 3), (8, 4)]), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 2, 16])
)
def test_the_module_equals_the_equations(shape, height, width, reduction):
    channels, groups = shape
    module = disturbed(SubspaceAttention(channels, (height, width), groups, reduction))
    assert_equal(module, equations, maps(2, channels, height, width))


@pytest.mark.parametrize(("size", "stride"), [((8, 4), 2), ((6, 6), 3), ((4, 4), 4), ((4, 4), 1)])
def test_pooling_first_equals_gating_first(size, stride):
    pool = pooling.create("subspace_attention", channels=8, stride=stride, size=size, groups=2)
    assert_equal(disturbed(pool), pooled, maps(3, 8, *size))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_it_starts_as_squeeze_and_excitation(groups):
    torch.manual_seed(0)
    module = SubspaceAttention(8, (6, 10), groups).double()
    x = maps(3, 8, 6, 10)
    excitation = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), module.reduce, torch.nn.ReLU(), module.expand, torch.nn.Sigmoid()
    )
    torch.testing.assert_close(module(x), x * excitation(x), atol=1e-7, rtol=1e-7)


def test_the_maps_have_rank_one():
    module = disturbed(SubspaceAttention(8, (5, 7), 4))
    assert module.maps().shape == (4, 5, 7)
    assert torch.linalg.matrix_rank(module.maps()).tolist() == [1] * 4


@pytest.mark.parametrize(("channels", "size", "groups", "reduction"), [(32, (14, 14), 4, 4), (6, (3, 5), 3, 16)])
def test_what_it_costs(channels, size, groups, reduction):
    module = SubspaceAttention(channels, size, groups, reduction)
    hidden = max(1, channels // reduction)
    expected = groups * (size[0] + size[1]) + 2 * channels * hidden + hidden + channels
    assert sum(parameter.numel() for parameter in module.parameters()) == expected


def test_a_map_of_another_size_is_refused():
    with pytest.raises(UsageError, match="a map of 4x8 meets a layer made for 8x8"):
        SubspaceAttention(8, (8, 8))(torch.zeros(1, 8, 4, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": None}, r"must know the size of its map\n  give size="),
        ({"channels": 6}, r"4 groups do not divide 6 channels\n  choose groups from 1, 2, 3, 6"),
        ({"groups": 0}, "groups must be a positive whole number, not 0"),
        ({"reduction": 0}, "the reduction must be a positive whole number, not 0"),
        ({"stride": 16}, "a stride of 16 does not divide a map of 8x8"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        pooling.create("subspace_attention", **{"channels": 8, "stride": 2, "size": (8, 8), **arguments})


@pytest.mark.parametrize(("size", "message"), [
    ((0, 4), "the height of the map must be a positive whole number, not 0"),
    ((4, 2.0), "the width of the map must be a positive whole number, not 2.0"),
    (8, r"the size of the map is not 8\n  give \(height, width\)"),
    ((8, 8, 8), "the size of the map is not"),
])  # fmt: skip
def test_a_size_is_a_height_and_a_width(size, message):
    with pytest.raises(UsageError, match=message):
        SubspaceAttention(8, size)
    with pytest.raises(UsageError, match=message):
        pooling.create("average", channels=8, stride=2, size=size)


def test_pooling_makes_no_second_map():
    # The lean order allocates what the squeeze and the pooled map take, not a gated copy of the large map.
    pool = pooling.create("subspace_attention", channels=32, stride=2, size=(32, 32))
    x = torch.randn(1, 32, 32, 32)
    sizes = []

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            y = function(*args, **(kwargs or {}))
            if isinstance(y, torch.Tensor) and y.untyped_storage().data_ptr() != x.untyped_storage().data_ptr():
                sizes.append(y.numel())
            return y

    with torch.inference_mode(), Sizes():
        y = pool(x)
    assert max(sizes) < x.numel() / 2
    torch.testing.assert_close(y, F.avg_pool2d(pool.attention(x), 2))
