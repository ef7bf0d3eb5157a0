"""Pruned widths in specifications, and the networks that they make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapool import catalog, pruned
from sapool.errors import UsageError
from sapool.spec import ModelSpec, parse


@given(st.data())
def test_text_and_widths_are_the_same(data):
    backbone = data.draw(st.sampled_from(sorted(catalog.BACKBONES)))
    widths = data.draw(st.dictionaries(st.sampled_from(pruned.names(backbone)), st.integers(1, 8)))
    spec = ModelSpec(backbone, resolution=64, pruned=widths)
    assert parse(str(spec)) == spec
    assert spec.pruned == widths
    assert list(spec.pruned) == [name for name in pruned.names(backbone) if name in widths]
    assert str(spec.with_settings(pruned={})) == str(ModelSpec(backbone, resolution=64))


def test_the_names_are_those_of_the_network():
    assert pruned.names("mobilenet_v1")[:4] == ("stem", "p1", "b1", "p2")
    names = pruned.names("mobilenet_v2")
    assert "b1" not in names  # its first block has no expansion
    assert names[-1] == "last"
    assert sum(name[0] == "b" for name in names) == 16
    assert {"b1", "b1x", "s4"} <= set(pruned.names("resnet50"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenet_v2:pruned=b1:3", "no width of mobilenet_v2 is called 'b1'"),
        ("mobilenet_v1:pruned=s2:3", "no width of mobilenet_v1 is called 's2'"),
        ("mobilenet_v1:pruned=stem:0", "stem has 0 channels"),
        ("mobilenet_v1:pruned=stem:4/stem:5", "stem is given twice"),
        ("mobilenet_v1:pruned=stem", "the width stem must be a whole number"),
    ],
)
def test_widths_that_make_no_sense_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_layers_have_the_widths_of_the_text():
    pytest.importorskip("torch")
    from sapool.models import build

    net = build(parse("mobilenet_v2-self_attentive-1221121:width=0.35,pruned=stem:12/s2:6/p3:8/b4:30/last:600"))
    assert net.stem[0].out_channels == 12
    assert net.stages[1].blocks[1].layers[2].out_channels == 6
    assert net.stages[2].pool.embedding == 8
    assert net.stages[2].pool.channels == 6
    assert net.stages[2].blocks[0].layers[0][0].out_channels == 30
    assert net.stages[1].blocks[1].layers[0][0].out_channels == 48  # as before pruning, whatever goes in
    assert net.classifier.in_features == 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenet_v1:pruned=stem:100", "stem has 32 channels without pruning, not 100"),
        ("resnet18:width=0.2,pruned=stem:12", "block 1 adds 12 channels to 16"),
    ],
)
def test_widths_that_do_not_fit_the_network_are_refused(text, message):
    pytest.importorskip("torch")
    from sapool.models import build

    with pytest.raises(UsageError, match=message):
        build(parse(text))


def test_equal_widths_after_pruning_make_no_shortcut():
    pytest.importorskip("torch")
    from sapool.models import build

    # 64 and 96 channels before pruning: what was not added then is not added now.
    net = build(parse("mobilenet_v2-strided-1222121:resolution=64,pruned=s4:60/s5:60"))
    first = net.stages[4].blocks[0]
    assert first.layers[2].in_channels == 64 * 6
    assert first.layers[-2].out_channels == 60
    assert not first.residual
    assert net.stages[4].blocks[1].residual
