"""Networks: published sizes, placements, extents."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from sapool import catalog, models  # noqa: E402
from sapool.layers import Conv2dSame  # noqa: E402
from sapool.models.mobilenet_v2 import rounded  # noqa: E402
from sapool.pooling import PoolingLayer  # noqa: E402
from sapool.spec import extents, parse  # noqa: E402


@pytest.mark.oracle
def test_stock_mobilenet_v2_has_the_published_size():
    # torchvision's mobilenet_v2: 3,504,872 parameters; the paper prints 3.4M.
    net = models.build(parse("mobilenet_v2-strided-1222121:resolution=224,classes=1000"))
    assert sum(p.numel() for p in net.parameters()) == 3_504_872


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


@pytest.mark.parametrize(("placement", "position"), [("before", 0), ("after", 1), ("end", 2)])
def test_the_pool_stands_where_it_was_asked_for(placement, position):
    net = models.build(parse(f"mobilenet_v2-max-1221121:width=0.35,placement={placement}"))
    stage = net.stages[1]  # two blocks
    assert isinstance(stage[position], PoolingLayer)
    assert len(stage) == 3


@pytest.mark.parametrize("pooling", ["strided", "max", "self_attentive"])
def test_prepool_takes_the_place_of_the_stem_stride(pooling):
    spec = parse(f"mobilenet_v2-{pooling}-1221121:width=0.35,prepool=4,resolution=64")
    net = models.build(spec).eval()
    assert net.stem(torch.randn(1, 3, 64, 64)).shape[2] == 16
    assert net(torch.randn(1, 3, 64, 64)).shape == (1, 10)


def test_an_impossible_setting_names_its_stage():
    from sapool.errors import UsageError

    with pytest.raises(UsageError, match=r"^stage 2: .*window_norm"):
        models.build(parse("mobilenet_v2-self_attentive-1221121:patch=2,window_norm=true"))
