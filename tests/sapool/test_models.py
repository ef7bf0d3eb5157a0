"""Networks: published sizes, placements, extents."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from sapool import catalog, models  # noqa: E402
from sapool.layers import Conv2dSame  # noqa: E402
from sapool.models.mobilenet_v2 import InvertedResidual, rounded  # noqa: E402
from sapool.pooling import PoolingLayer  # noqa: E402
from sapool.spec import extents, parse  # noqa: E402


@pytest.mark.oracle
def test_stock_mobilenet_v2_has_the_published_size():
    # torchvision's mobilenet_v2: 3,504,872 parameters; the paper prints 3.4M.
    net = models.build(parse("mobilenet_v2-strided-1222121:resolution=224,classes=1000"))
    assert sum(p.numel() for p in net.parameters()) == 3_504_872


# Multiply-accumulates (cut off) and parameters (rounded, without normalisation) in millions
# (tensorflow/models, research/slim/nets/mobilenet/README.md, table of MobileNetV2 checkpoints).
PUBLISHED = [
    (1.4, 224, 582, 6.06), (1.3, 224, 509, 5.34), (1.0, 224, 300, 3.47), (1.0, 192, 221, 3.47), (1.0, 160, 154, 3.47),
    (1.0, 128, 99, 3.47), (1.0, 96, 56, 3.47), (0.75, 224, 209, 2.61), (0.75, 192, 153, 2.61), (0.75, 160, 107, 2.61),
    (0.75, 128, 69, 2.61), (0.75, 96, 39, 2.61), (0.5, 224, 97, 1.95), (0.5, 192, 71, 1.95), (0.5, 160, 50, 1.95),
    (0.5, 128, 32, 1.95), (0.5, 96, 18, 1.95), (0.35, 224, 59, 1.66), (0.35, 192, 43, 1.66), (0.35, 160, 30, 1.66),
    (0.35, 128, 20, 1.66), (0.35, 96, 11, 1.66),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize(("width", "resolution", "macs", "parameters"), PUBLISHED)
def test_mobilenet_v2_costs_what_was_published(width, resolution, macs, parameters):
    with torch.device("meta"):
        net = models.build(parse("mobilenet_v2", width=width, resolution=resolution, classes=1000)).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, 3, resolution, resolution))
    assert int(counter.get_total_flops() / 2e6) == macs
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    weights = sum(p.numel() for p in net.parameters()) - sum(p.numel() for norm in norms for p in norm.parameters())
    assert round(weights / 1e6, 2) == parameters


@pytest.mark.oracle
@pytest.mark.parametrize(("channels", "expected"), [(32 * 0.35, 16), (24 * 0.35, 8), (96 * 0.35, 32), (160 * 1.4, 224)])
def test_channels_are_rounded_as_published(channels, expected):
    assert rounded(channels) == expected


@pytest.mark.oracle
@pytest.mark.parametrize("extent", [7, 8, 9, 16])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_is_that_of_tflite(extent, kernel, stride):
    from exporters.lower.padding import Window

    conv = Conv2dSame(2, 4, kernel, stride)
    x = torch.randn(1, 2, extent, extent)
    assert conv(x).shape[2] == -(-extent // stride)
    total = Window(extent, kernel, stride).same_total
    padded = torch.nn.functional.pad(x, (total // 2, total - total // 2) * 2)
    torch.testing.assert_close(conv(x), torch.nn.functional.conv2d(padded, conv.weight, None, stride))


@pytest.mark.parametrize("placement", catalog.PLACEMENTS)
@pytest.mark.parametrize("pooling", sorted(catalog.POOLING))
def test_every_method_at_every_placement(pooling, placement):
    spec = parse(f"mobilenet_v2-{pooling}-1221121:width=0.35,classes=5,placement={placement}")
    net = models.build(spec).eval()
    sizes = []
    for stage in net.stages:
        stage.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2]))
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 5)
    assert tuple(sizes) == extents(spec)[1:]
    pools = [module for module in net.modules() if isinstance(module, PoolingLayer)]
    assert len(pools) == (0 if pooling == "strided" else 3)


@pytest.mark.parametrize("pooling", ["max", "strided"])
@pytest.mark.parametrize(("placement", "heights"), [("before", [4, 4]), ("after", [8, 4]), ("end", [8, 8])])
def test_the_map_shrinks_where_it_was_asked_for(pooling, placement, heights):
    net = models.build(parse(f"mobilenet_v2-{pooling}-1221121:width=0.35,placement={placement}")).eval()
    stage = net.stages[2]  # a map of 8, three blocks
    seen = []
    for block in stage.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2]))
    assert stage(torch.randn(1, 8, 8, 8)).shape[2] == 4
    if pooling == "strided":  # the convolution shrinks the map in the block that a pool would follow
        heights = {"before": [4, 4], "after": [4, 4], "end": [8, 8]}[placement]
        assert seen[2] == 4
    assert seen[:2] == heights


@pytest.mark.parametrize("placement", catalog.PLACEMENTS)
def test_networks_differ_in_their_pools_only(placement):
    nets = {
        name: models.build(parse(f"mobilenet_v2-{name}-1221121:width=0.35,placement={placement}"))
        for name in ("average", "max", "self_attentive")
    }
    plain = nets["average"].state_dict()
    assert list(nets["max"].state_dict()) == list(plain)
    assert [name for name in nets["self_attentive"].state_dict() if ".pool." not in name] == list(plain)
    strided = models.build(parse(f"mobilenet_v2-strided-1221121:width=0.35,placement={placement}"))
    assert list(strided.state_dict()) == list(plain)
    if placement != "end":  # there the strided block is one that otherwise has a shortcut
        shortcuts = [
            [m.residual for m in net.modules() if isinstance(m, InvertedResidual)] for net in (strided, nets["max"])
        ]
        assert shortcuts[0] == shortcuts[1]


def test_methods_may_differ_by_stage():
    spec = parse("mobilenet_v2-max/average/strided/max/max/self_attentive/max-1222121:width=0.35,resolution=64")
    net = models.build(spec).eval()
    pools = [type(stage.pool).__name__ for stage in net.stages]
    expected = ["NoneType", "AveragePooling", "NoneType", "MaxPooling", "NoneType", "SelfAttentivePooling", "NoneType"]
    assert pools == expected
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 10)


def test_pools_keep_their_own_start():
    net = models.build(parse("mobilenet_v2-self_attentive-1221121:width=0.35,classes=2"))
    for pool in (module for module in net.modules() if isinstance(module, PoolingLayer)):
        bound = (6 / (2 * pool.embedding)) ** 0.5  # Glorot
        assert bound * 0.8 < pool.attention.query.weight.abs().max() <= bound
        assert pool.patch_embed.conv.weight.abs().max() <= (pool.patch_embed.conv.weight[0].numel()) ** -0.5
    assert net.classifier.weight.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("pooling", sorted(catalog.POOLING))
def test_networks_can_be_traced(pooling):
    net = models.build(parse(f"mobilenet_v2-{pooling}-1221121:width=0.35")).eval()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(torch.fx.symbolic_trace(net)(x), net(x))
    with_leaves = LayersAsLeaves()
    graph = with_leaves.trace(net)
    called = {type(net.get_submodule(node.target)) for node in graph.nodes if node.op == "call_module"}
    assert Conv2dSame in called
    assert any(issubclass(kind, PoolingLayer) for kind in called) == (pooling != "strided")
    torch.testing.assert_close(torch.fx.GraphModule(net, graph)(x), net(x))


class LayersAsLeaves(torch.fx.Tracer):
    """Stops at the layers of this project, as an exporter does."""

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, (Conv2dSame, PoolingLayer)) or super().is_leaf_module(m, module_qualified_name)


@pytest.mark.parametrize("pooling", ["strided", "max", "self_attentive"])
def test_prepool_takes_the_place_of_the_stem_stride(pooling):
    spec = parse(f"mobilenet_v2-{pooling}-1221121:width=0.35,prepool=4,resolution=64")
    net = models.build(spec).eval()
    assert net.prepool(torch.randn(1, 3, 64, 64)).shape == (1, 3, 16, 16)
    assert net.stem(torch.randn(1, 3, 16, 16)).shape[2] == 16
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 10)


def test_an_impossible_setting_names_its_stage():
    from sapool.errors import UsageError

    with pytest.raises(UsageError, match=r"^stage 2: .*window_norm"):
        models.build(parse("mobilenet_v2-self_attentive-1221121:patch=2,window_norm=true"))
