"""Networks: published sizes, placements, extents, attention in the place of blocks."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from sapool import catalog, models  # noqa: E402
from sapool.layers import Conv2dSame, MaxPool2dSame  # noqa: E402
from sapool.models.blocks import rounded  # noqa: E402
from sapool.models.mobilenet_v1 import scaled  # noqa: E402
from sapool.models.mobilenet_v2 import InvertedResidual  # noqa: E402
from sapool.pooling import PoolingLayer  # noqa: E402
from sapool.spec import extents, parse  # noqa: E402


@pytest.mark.oracle
def test_stock_mobilenet_v2_has_the_published_size():
    # torchvision's mobilenet_v2: 3,504,872 parameters; the paper prints 3.4M.
    net = models.build(parse("mobilenet_v2-strided-1222121:resolution=224,classes=1000"))
    assert sum(p.numel() for p in net.parameters()) == 3_504_872


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("backbone", "parameters", "macs"),
    [
        # torchvision's documentation of the weights: num_params, and _ops in thousand millions.
        ("resnet18", 11_689_512, 1.814),
        ("resnet50", 25_557_032, 4.089),
    ],
)
def test_stock_resnets_have_the_published_size(backbone, parameters, macs):
    spec = parse(backbone, resolution=224, classes=1000)
    assert cost(spec)[0] == parameters
    assert round(cost(spec)[1] / 1e9, 3) == macs


# Million multiply-accumulates and parameters (tables 6 and 7 of the MobileNet paper, which cuts some figures off and
# rounds others; it does not count normalisation, as the 4.2M and the 0.5M show).
MOBILENET_V1 = [
    (1.0, 224, 569, 4.2), (0.75, 224, 325, 2.6), (0.5, 224, 149, 1.3), (0.25, 224, 41, 0.5), (1.0, 192, 418, 4.2),
    (1.0, 160, 290, 4.2), (1.0, 128, 186, 4.2),
]  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize(("width", "resolution", "macs", "parameters"), MOBILENET_V1)
def test_mobilenet_v1_costs_what_was_published(width, resolution, macs, parameters):
    counted, computed = cost(parse("mobilenet_v1", width=width, resolution=resolution, classes=1000))
    assert macs in (int(computed / 1e6), round(computed / 1e6))
    assert round(counted / 1e6, 1) == parameters


def cost(spec):
    """Parameters and multiply-accumulates."""
    with torch.device("meta"):
        net = models.build(spec).eval()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, spec.channels, spec.resolution, spec.resolution))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops() / 2


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
@pytest.mark.parametrize(("width", "expected"), [(0.25, [8, 16, 256]), (0.5, [16, 32, 512]), (0.1, [8, 8, 102])])
def test_mobilenet_v1_cuts_channels_off_as_published(width, expected):
    # max(int(depth * depth_multiplier), 8): research/slim/nets/mobilenet_v1.py of tensorflow/models.
    assert [scaled(channels, width) for channels in (32, 64, 1024)] == expected


@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_the_catalogue_knows_the_blocks(backbone):
    net = models.build(parse(backbone, width=0.1, resolution=64))
    assert tuple(len(stage.blocks) for stage in net.stages) == catalog.BACKBONES[backbone].blocks


@pytest.mark.oracle
@pytest.mark.parametrize("extent", [7, 8, 9, 16])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_padded_pool_sees_the_map_and_nothing_else(extent, kernel):
    pool = MaxPool2dSame(kernel, 2)
    x = -torch.rand(1, 2, extent, extent) - 1  # a zero of padding would win
    y = pool(x)
    assert y.shape[2] == -(-extent // 2)
    assert y.max() < -1
    start = max(0, (y.shape[2] - 1) * 2 + kernel - extent) // 2
    rows = [slice(max(0, 2 * i - start), 2 * i - start + kernel) for i in range(y.shape[2])]
    expected = torch.stack([torch.stack([x[..., r, c].amax((2, 3)) for c in rows], -1) for r in rows], -2)
    torch.testing.assert_close(y, expected)


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
@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_every_method_at_every_placement(backbone, pooling, placement):
    spec = parse(f"{backbone}-{pooling}:width=0.25,classes=5,placement={placement},resolution=64")
    net = models.build(spec).eval()
    sizes = []
    for stage in net.stages:
        stage.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2]))
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 5)
    assert tuple(sizes) == extents(spec)[1:]
    pools = [module for module in net.modules() if isinstance(module, PoolingLayer)]
    assert len(pools) == (0 if pooling == "strided" else spec.strides.count("2"))


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
@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_networks_differ_in_their_pools_only(backbone, placement):
    nets = {
        name: models.build(parse(f"{backbone}-{name}:width=0.35,resolution=64,placement={placement}"))
        for name in ("average", "max", "self_attentive")
    }
    plain = nets["average"].state_dict()
    assert list(nets["max"].state_dict()) == list(plain)
    assert [name for name in nets["self_attentive"].state_dict() if ".pool." not in name] == list(plain)
    strided = models.build(parse(f"{backbone}-strided:width=0.35,placement={placement}"))
    if placement != "end":  # there the strided block is one that otherwise has a shortcut
        assert list(strided.state_dict()) == list(plain)
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


@pytest.mark.parametrize("pooling", ["strided", "max", "self_attentive"])
@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_networks_can_be_traced(backbone, pooling):
    net = models.build(parse(f"{backbone}-{pooling}:width=0.25,resolution=64")).eval()
    x = torch.randn(2, 3, 64, 64)
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


@pytest.mark.parametrize("prepool", [2, 4, 6, 8])
@pytest.mark.parametrize("pooling", ["strided", "average", "max"])
@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_prepool_takes_the_place_of_the_stem_stride(backbone, pooling, prepool):
    strides = "1" * len(catalog.BACKBONES[backbone].strides)
    spec = parse(f"{backbone}-{pooling}-{strides}:width=0.1,prepool={prepool},resolution=48")
    net = models.build(spec).eval()
    pooled = net.prepool(torch.randn(1, 3, 48, 48))
    assert pooled.shape == (1, 3, 48 // prepool, 48 // prepool)
    pools = 2 if backbone.startswith("resnet") else 1  # the stem's own pool stays
    assert net.stem(pooled).shape[2] == 48 // prepool // pools == extents(spec)[0]
    assert net(torch.randn(1, 3, 48, 48)).shape == (1, 10)


def test_an_attentive_prepool_has_the_settings_of_the_first_stage():
    net = models.build(parse("mobilenet_v2-self_attentive-1221121:width=0.35,prepool=4,resolution=64,heads=4"))
    assert (net.prepool.stride, net.prepool.heads) == (4, 4)


@pytest.mark.oracle
@pytest.mark.parametrize("backbone", sorted(catalog.BACKBONES))
def test_symmetric_padding_is_that_of_torch(backbone):
    net = models.build(parse(f"{backbone}:width=0.25,padding=symmetric,resolution=64"))
    # Padding means nothing to a kernel of one pixel.
    convolutions = [module for module in net.modules() if getattr(module, "kernel_size", (1, 1)) != (1, 1)]
    convolutions = [module for module in convolutions if not isinstance(module, torch.nn.MaxPool2d)]
    assert {type(module) for module in convolutions} == {torch.nn.Conv2d}
    assert all(module.padding == (module.kernel_size[0] // 2,) * 2 for module in convolutions)
    same = models.build(parse(f"{backbone}:width=0.25,resolution=64"))
    assert list(same.state_dict()) == list(net.state_dict())
    same.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 64, 64)
    assert not torch.allclose(same.stem(x), net.stem(x))


def test_a_module_stands_in_the_place_of_its_block():
    spec = parse("mobilenet_v2-max-1222121:resolution=64,replace=3:ulsam:groups=2/12+15:subspace_attention:groups=1")
    net = models.build(spec).eval()
    third, twelfth, fifteenth = net.stages[1].blocks[1], net.stages[4].blocks[1], net.stages[5].blocks[1]
    assert (type(third).__name__, third.channels, third.groups) == ("ULSAM", 24, 2)
    assert (type(twelfth).__name__, twelfth.channels, twelfth.size) == ("SubspaceAttention", 96, (4, 4))
    assert (fifteenth.channels, fifteenth.size, fifteenth.groups) == (160, (2, 2), 1)
    assert [stage.replaced for stage in net.stages] == [(), (1,), (), (), (1,), (1,), ()]
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    # Modules keep their own start: torch's for the convolutions of this one, not He's.
    weight = fifteenth.reduce.weight
    assert weight.abs().max() <= weight[0].numel() ** -0.5


@pytest.mark.parametrize(("placement", "size"), [("before", 4), ("after", 4), ("end", 8)])
@pytest.mark.parametrize("pooling", ["max", "strided"])
def test_a_module_knows_the_extent_of_its_map(pooling, placement, size):
    spec = parse(f"mobilenet_v2-{pooling}-1221121:placement={placement},replace=5:subspace_attention")
    net = models.build(spec).eval()
    assert net.stages[2].blocks[1].size == (size, size)
    assert net(torch.randn(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "mobilenet_v2:replace=11:ulsam",
            "block 11: ulsam keeps the shape of its map, this block does not: 64 channels become 96",
        ),
        ("mobilenet_v1-strided-22222:resolution=64,replace=1:ulsam", "32 channels become 64"),
        ("resnet18-strided-2222:resolution=64,replace=1:ulsam", "it has a stride of 2"),
        ("mobilenet_v2:replace=3:ulsam:groups=7", "block 3: ULSAM: 7 groups do not divide 24 channels"),
    ],
)
def test_a_block_that_cannot_be_replaced_is_named(text, message):
    from sapool.errors import UsageError

    with pytest.raises(UsageError) as caught:
        models.build(parse(text))
    assert message in str(caught.value)


def test_an_impossible_setting_names_its_stage():
    from sapool.errors import UsageError

    with pytest.raises(UsageError, match=r"^stage 2: .*window_norm"):
        models.build(parse("mobilenet_v2-self_attentive-1221121:patch=2,window_norm=true"))
