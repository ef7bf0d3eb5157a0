"""Pooling layers against plain, separately written equations."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from support.pools import assert_equal, disturbed, maps  # noqa: E402

from sapool import catalog, pooling  # noqa: E402
from sapool.errors import UsageError  # noqa: E402
from sapool.pooling.registry import describe, method  # noqa: E402
from sapool.pooling.self_attentive import PatchConv2d  # noqa: E402
from sapool.spec import parse  # noqa: E402


def layer(channels=8, stride=2, size=(8, 8), training=False, **options):
    """A self-attentive layer in double precision, with weights that make the attention matter."""
    torch.manual_seed(0)
    pool = pooling.create("self_attentive", channels=channels, stride=stride, size=size, **options)
    return disturbed(pool).train(training)


def equations(pool, x):
    """The layer as the paper writes it: every step at full resolution, attention by torch's own module."""
    batch, _, height, width = x.shape
    p, s, embedding = pool.patch, pool.stride, pool.embedding
    norm = pool.patch_embed.bn
    tokens = F.conv2d(x, pool.patch_embed.conv.weight, stride=p)
    tokens = F.relu(F.batch_norm(tokens, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps))
    rows, columns = height // p, width // p
    position = torch.empty(embedding, rows, columns, dtype=x.dtype)
    for row in range(rows):
        for column in range(columns):
            position[:, row, column] = torch.cat([pool.positions.col[:, column], pool.positions.row[:, row]])
    sequence = (tokens + position).reshape(batch, embedding, rows * columns).permute(0, 2, 1)
    a = pool.attention
    mixed, _ = F.multi_head_attention_forward(
        sequence.transpose(0, 1), sequence.transpose(0, 1), sequence.transpose(0, 1), embedding, pool.heads,
        torch.cat([a.query.weight, a.key.weight, a.value.weight]), torch.cat([a.query.bias, a.key.bias, a.value.bias]),
        None, None, False, 0.0, a.output.weight, a.output.bias, need_weights=False,
    )  # fmt: skip
    attended = mixed.permute(1, 2, 0).reshape(batch, embedding, rows, columns)
    full = attended.repeat_interleave(p, 2).repeat_interleave(p, 3)
    norm = pool.restore.bn
    full = F.conv2d(full, pool.restore.conv.weight)
    full = F.batch_norm(full, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    weight = torch.exp(torch.sigmoid(full))
    y = F.avg_pool2d(x * weight, s)
    return y / F.avg_pool2d(weight, s) if pool.window_norm else y


@pytest.mark.parametrize(
    "options",
    [
        {"patch": 2},
        {"patch": 4, "heads": 4},
        {"patch": 1},
        {"patch": 1, "window_norm": True},
        {"patch": 2, "stride": 4, "window_norm": True, "heads": 1},
        {"patch": 3, "stride": 2, "size": (12, 12), "window_norm": True},
        {"patch": 3, "stride": 2, "size": (12, 6)},
        {"patch": 2, "ratio": 0.5},
        {"patch": 2, "stride": 1},
    ],
    ids=str,
)
def test_the_lean_form_equals_the_equations(options):
    pool = layer(**options)
    x = maps(3, 8, *pool.size)
    assert pool(x).shape == (3, 8, pool.size[0] // pool.stride, pool.size[1] // pool.stride)
    assert_equal(pool, equations, x)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 2),
    st.integers(1, 2),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
)
def test_the_lean_form_equals_the_equations_at_any_shape(patch, stride, rows, columns, heads, window_norm):
    assume(not window_norm or patch % stride)
    step = math.lcm(patch, stride)
    size = (rows * step, columns * step)
    pool = layer(channels=4, stride=stride, size=size, patch=patch, heads=heads, window_norm=window_norm)
    assert_equal(pool, equations, maps(2, 4, *size))


@pytest.mark.parametrize(("channels", "out_channels", "patch", "size"), [
    (3, 5, 1, (4, 6)), (4, 2, 2, (4, 6)), (1, 1, 3, (3, 9)), (2, 6, 4, (4, 4)),
])  # fmt: skip
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_disjoint_patches_are_convolved_as_by_torch(channels, out_channels, patch, size, layout):
    ours = PatchConv2d(channels, out_channels, patch).double()
    theirs = torch.nn.Conv2d(channels, out_channels, patch, patch, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, channels, *size, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    y = theirs(x)
    torch.testing.assert_close(ours(x), y)
    probe = torch.randn_like(y)
    expected = torch.autograd.grad((y * probe).sum(), [x, theirs.weight])
    torch.testing.assert_close(torch.autograd.grad((ours(x) * probe).sum(), [x, ours.weight]), expected)


def test_the_weights_have_the_names_of_plain_layers():
    names = {f"attention.{part}.{kind}" for part in ("query", "key", "value", "output") for kind in ("weight", "bias")}
    names |= {"positions.col", "positions.row"}
    for part in ("patch_embed", "restore"):
        names |= {f"{part}.conv.weight"} | {f"{part}.bn.{entry}" for entry in torch.nn.BatchNorm2d(1).state_dict()}
    assert set(layer().state_dict()) == names


def test_training_normalises_by_the_same_statistics():
    # Each patch is counted p*p times by a normalisation behind the upsampling: same mean and variance.
    pool, x = layer(patch=4, size=(16, 16), training=True), torch.randn(4, 8, 16, 16, dtype=torch.float64)
    small = []
    pool.restore.conv.register_forward_hook(lambda module, inputs, output: small.append(output.detach()))
    actual = pool(x)
    full = small[0].repeat_interleave(4, 2).repeat_interleave(4, 3)
    norm = pool.restore.bn
    weight = torch.exp(torch.sigmoid(F.batch_norm(full, None, None, norm.weight, norm.bias, True, eps=norm.eps)))
    torch.testing.assert_close(actual, F.avg_pool2d(x * weight, 2), atol=1e-9, rtol=1e-9)


def test_a_layer_without_a_size_computes_the_same():
    known = layer(patch=2, size=(8, 4))
    free = pooling.create("self_attentive", channels=8, stride=2, patch=2).double().eval()
    state = known.state_dict()
    for name, parameter in free.positions.named_parameters():
        learned = state[f"positions.{name}"]
        state[f"positions.{name}"] = F.pad(learned, (0, parameter.shape[1] - learned.shape[1]))
    free.load_state_dict(state)
    x = torch.randn(2, 8, 8, 4, dtype=torch.float64)
    torch.testing.assert_close(free(x), known(x))


def test_maps_that_a_layer_was_not_made_for_are_refused():
    with pytest.raises(UsageError, match="a map of 4x8 meets a layer made for 8x8"):
        layer()(torch.zeros(1, 8, 4, 8, dtype=torch.float64))
    free = pooling.create("self_attentive", channels=8, stride=2)
    with pytest.raises(UsageError, match="a stride of 2 does not divide a map of 8x7"):
        free(torch.zeros(1, 8, 8, 7))
    with pytest.raises(UsageError, match="65x1 patches, but positions for 64x64"):
        free(torch.zeros(1, 8, 130, 2))


@pytest.mark.parametrize("options", [{}, {"patch": 1, "window_norm": True}], ids=str)
def test_the_layer_compiles_to_the_same(options):
    pool = layer(**options)
    x = torch.randn(2, 8, 8, 8, dtype=torch.float64)
    compiled = torch.compile(pool, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), pool(x))


def test_window_norm_with_constant_weights_would_be_average_pooling():
    # The degenerate case that is refused, made by hand: the weights cancel out and the attention gets no gradient.
    pool = layer(patch=2)
    pool.window_norm = True
    x = torch.randn(2, 8, 8, 8, dtype=torch.float64)
    y = pool(x)
    torch.testing.assert_close(y, F.avg_pool2d(x, 2))
    (y * torch.randn_like(y)).sum().backward()
    assert pool.attention.query.weight.grad.abs().max() < 1e-9


@pytest.mark.parametrize(("patch", "stride"), [(2, 2), (4, 2), (1, 1), (4, 4)])
def test_the_degenerate_setting_is_refused_and_explained(patch, stride):
    with pytest.raises(UsageError, match="is average pooling: the weights are constant inside each window"):
        pooling.create("self_attentive", channels=8, stride=stride, size=(8, 8), patch=patch, window_norm=True)


def test_weights_lie_between_one_and_e():
    pool = layer(patch=1)
    weights = pool.weights(torch.randn(2, 8, 8, 8, dtype=torch.float64) * 10)
    assert weights.min() >= 1
    assert weights.max() <= torch.e


@pytest.mark.parametrize(
    ("size", "stride", "window_norm", "patch"),
    [
        ((16, 16), 2, False, 2), ((32, 32), 2, False, 4), ((128, 128), 2, False, 16), ((28, 28), 2, False, 4),
        ((64, 64), 1, False, 8), ((18, 18), 2, False, 6), ((2, 2), 2, False, 2), ((26, 26), 2, False, 2),
        (None, 4, False, 4), ((8, 8), 2, True, 1), ((16, 16), 4, True, 2), ((18, 18), 9, True, 3),
    ],
)  # fmt: skip
def test_the_default_patch_keeps_tokens_few(size, stride, window_norm, patch):
    pool = pooling.create("self_attentive", channels=4, stride=stride, size=size, window_norm=window_norm)
    assert pool.patch == patch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 8, "stride": True}, "the stride must be a positive whole number"),
        ({"channels": 8, "stride": 2, "ratio": float("nan")}, "ratio must be a positive number"),
        ({"channels": 8, "stride": 2, "heads": 10**6}, "choose a smaller patch, fewer heads"),
        ({"channels": 64, "stride": 2, "size": (4096, 4096), "patch": 2048}, "choose a smaller patch"),
        ({"channels": 8, "stride": 16, "size": (8, 8)}, "does not divide a map of 8x8"),
        ({"channels": 8, "stride": 3, "size": (8, 8)}, "does not divide a map of 8x8"),
        ({"channels": 8, "stride": 2, "size": (8, 8), "patch": 3}, "patch of 3 does not divide"),
        ({"channels": 3, "stride": 2, "size": (8, 8), "heads": 1}, "an embedding of 3 is odd"),
        ({"channels": 8, "stride": 2, "size": (8, 8), "head": 1}, "did you mean heads"),
        ({"channels": 8, "stride": 2, "size": (8, 8), "heads": 0}, "heads must be a positive whole number, not 0"),
        ({"channels": 0, "stride": 2, "size": (8, 8)}, "number of channels must be a positive whole number, not 0"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        pooling.create("self_attentive", **arguments)


METHODS = sorted(catalog.POOLING)
NEED_A_SIZE = ("subspace_attention",)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_drop_in_for_a_max_pool(name):
    pool = pooling.create(name, channels=8, stride=2, size=(8, 12)).eval()
    x = torch.randn(2, 8, 8, 12)
    y = pool(x)
    assert y.shape == (2, 8, 4, 6)
    torch.testing.assert_close(pool(x.to(memory_format=torch.channels_last)), y, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pool.double()(x.double()).float(), y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in NEED_A_SIZE])
def test_every_other_method_works_without_a_size(name):
    pool = pooling.create(name, channels=8, stride=2)
    assert (pool.channels, pool.stride) == (8, 2)
    for height, width in [(8, 12), (4, 4)]:
        assert pool(torch.randn(2, 8, height, width)).shape == (2, 8, height // 2, width // 2)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_is_kept(name):
    pool = pooling.create(name, channels=8, stride=2, size=(8, 8))
    x = torch.randn(3, 8, 8, 8, requires_grad=True)
    pool(x).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in pool.parameters())
    copy = pooling.create(name, channels=8, stride=2, size=(8, 8))
    copy.load_state_dict(pool.state_dict())
    torch.testing.assert_close(copy.eval()(x), pool.eval()(x), atol=0, rtol=0)
    torch.testing.assert_close(pool(x), pool(x), atol=0, rtol=0)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_traced_and_compiled(name):
    pool = pooling.create(name, channels=8, stride=2, size=(8, 8)).eval()
    x = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(torch.fx.symbolic_trace(pool)(x), pool(x))
    torch.testing.assert_close(torch.compile(pool, backend="eager", fullgraph=True)(x), pool(x))


@pytest.mark.parametrize("name", METHODS)
def test_the_catalogue_is_the_registry(name):
    assert describe(method(name)) == catalog.POOLING[name]
    assert name in pooling.available()


def test_a_second_layer_of_one_name_is_refused():
    for name in ("max", "self_attentive"):
        with pytest.raises(ValueError, match=f"'{name}' is registered already, by sapool.pooling.{name}"):

            @pooling.register(name)
            class Other(pooling.PoolingLayer):
                pass


@pytest.mark.parametrize("name", ["Max", "max-2", "a/b", ""])
def test_a_name_that_no_specification_can_carry_is_refused(name):
    with pytest.raises(ValueError, match="cannot stand in a specification"):
        pooling.register(name)


def test_a_foreign_method_is_known_to_specifications(monkeypatch):
    monkeypatch.setattr(catalog, "POOLING", dict(catalog.POOLING))

    class MedianPooling(pooling.PoolingLayer):
        def __init__(self, channels, stride, size=None, *, upper: bool = False, gain: float | None = None):
            super().__init__(channels, stride, size)
            self.upper, self.gain = upper, gain

    pooling.register("median")(MedianPooling)
    assert catalog.POOLING["median"].options == {"upper": bool, "gain": float}
    spec = parse("mobilenet_v2-median-1221121:upper=true,gain=2")
    pool = pooling.create("median", channels=4, stride=2, **spec.options_of(2))
    assert (pool.upper, pool.gain) == (True, 2.0)


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean average"):
        pooling.create("avarage", channels=4, stride=2)
