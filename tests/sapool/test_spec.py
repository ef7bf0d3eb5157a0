"""Specifications: text and object, and what makes no sense."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapool import catalog
from sapool.errors import UsageError
from sapool.replacement import Replacement
from sapool.spec import ModelSpec, extents, option_types, parse

KINDS = {int: st.integers(1, 8), float: st.floats(0.1, 4), bool: st.booleans()}


def one_or_each(values, count):
    """A value for the whole network, or one for each of its stages."""
    return st.one_of(values, st.tuples(*[values] * count))


@st.composite
def replacements(draw, blocks):
    chosen = []
    for block in draw(st.sets(st.integers(1, blocks), max_size=4)):
        module = draw(st.sampled_from(sorted(catalog.MODULES)))
        types = catalog.MODULES[module].options
        names = draw(st.sets(st.sampled_from(sorted(types))))
        chosen.append(Replacement(block, module, {name: draw(KINDS[types[name]]) for name in names}))
    return tuple(chosen)


@st.composite
def specs(draw):
    backbone = draw(st.sampled_from(sorted(catalog.BACKBONES)))
    usual = catalog.BACKBONES[backbone].strides
    pooling = draw(one_or_each(st.sampled_from(sorted(catalog.POOLING)), len(usual)))
    types = option_types((pooling,) if isinstance(pooling, str) else pooling)
    names = draw(st.sets(st.sampled_from(sorted(types)))) if types else set()
    return ModelSpec(
        backbone,
        pooling=pooling,
        strides=draw(st.sampled_from(["", usual, "2221111"[: len(usual)], "1111111"[: len(usual)]])),
        width=draw(st.one_of(st.integers(1, 2), st.floats(0.1, 2.0))),
        placement=draw(st.sampled_from(catalog.PLACEMENTS)),
        prepool=draw(st.sampled_from([1, 2, 4, 6, 8])),
        resolution=draw(st.sampled_from([384, 768])),
        classes=draw(st.integers(1, 1000)),
        channels=draw(st.sampled_from([1, 3])),
        padding=draw(st.sampled_from(catalog.PADDINGS)),
        replace=draw(replacements(sum(catalog.BACKBONES[backbone].blocks))),
        options={name: draw(one_or_each(KINDS[types[name]], len(usual))) for name in sorted(names)},
    )


@given(specs())
def test_text_and_object_are_the_same(spec):
    assert parse(str(spec)) == spec
    assert str(parse(str(spec))) == str(spec)
    assert hash(parse(str(spec))) == hash(spec)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_defaults_are_not_written():
    assert str(parse("mobilenet_v2-self_attentive-1221121")) == "mobilenet_v2-self_attentive-1221121"
    assert str(parse("mobilenet_v2")) == "mobilenet_v2-strided-1222121"
    spec = parse("mobilenet_v2-self_attentive-1221121:heads=4,width=0.35")
    assert str(spec) == "mobilenet_v2-self_attentive-1221121:width=0.35,heads=4"


def test_methods_and_options_may_differ_by_stage():
    text = "mobilenet_v2-max/max/average/self_attentive/max/self_attentive/max-1222121:heads=2/2/2/4/2/8/2,patch=2"
    spec = parse(text)
    assert str(spec) == text
    assert spec.methods[3] == "self_attentive"
    assert spec.options_of(2) == {}
    assert spec.options_of(4) == {"heads": 4, "patch": 2}
    assert spec.options_of(6) == {"heads": 8, "patch": 2}


def test_the_same_for_every_stage_is_one_value():
    spec = ModelSpec(pooling=("self_attentive",) * 7, options={"heads": [4] * 7})
    assert spec == parse("mobilenet_v2-self_attentive:heads=4")
    assert str(spec) == "mobilenet_v2-self_attentive-1222121:heads=4"


def test_replaced_blocks_have_one_text():
    text = (
        "mobilenet_v2-strided-1222121:replace=8:subspace_attention:groups=1:reduction=8/12+15:ulsam/13:ulsam:groups=2"
    )
    spec = parse(text)
    assert str(spec) == text
    assert spec.replacement_of(15) == Replacement(15, "ulsam")
    assert spec.replacement_of(9) is None
    shuffled = "mobilenet_v2:replace=13:ulsam:groups=2/15:ulsam/8:subspace_attention:reduction=8:groups=1/12:ulsam"
    assert parse(shuffled) == spec
    assert spec.with_settings(replace=()) == parse("mobilenet_v2")


def test_a_preset_stands_for_a_text_and_its_settings_can_be_changed():
    spec = parse("ulsam_v2_12_15")
    assert str(spec) == "mobilenet_v2-strided-1222121:resolution=224,classes=1000,replace=12+15:ulsam"
    assert parse("ulsam_v2_12_15:classes=10,width=0.5") == spec.with_settings(classes=10, width=0.5)
    assert parse("ulsam_v2_12_15:replace=", classes=7) == parse("mobilenet_v2:resolution=224", classes=7)


def test_overrides_take_the_place_of_settings():
    text = "mobilenet_v2-max-4222121"  # makes no sense at 32 pixels, the default
    assert parse(text, resolution=128, width=None).resolution == 128
    assert parse(f"{text}:width=2,resolution=128", width=0.5).width == 0.5
    spec = parse(f"{text}:resolution=128")
    assert spec.with_settings(classes=7, width=None) == parse(f"{text}:resolution=128,classes=7")


@pytest.mark.parametrize(
    ("text", "resolution", "expected"),
    [
        ("mobilenet_v2-strided-1222121", 224, (112, 112, 56, 28, 14, 14, 7, 7)),  # table 2 of the paper
        ("mobilenet_v2-strided-1222121", 96, (48, 48, 24, 12, 6, 6, 3, 3)),
        ("mobilenet_v2-strided-1222121", 33, (17, 17, 9, 5, 3, 3, 2, 2)),
        ("mobilenet_v2-average-4222121:prepool=4", 512, (128, 32, 16, 8, 4, 4, 2, 2)),
        ("mobilenet_v1-strided-12222", 224, (112, 112, 56, 28, 14, 7)),  # table 1 of the paper
        ("resnet50-strided-1222", 224, (56, 56, 28, 14, 7)),  # table 1 of the paper
        ("resnet18-max-1222:prepool=2", 224, (56, 56, 28, 14, 7)),
        ("resnet18-max-2222:prepool=4", 256, (32, 16, 8, 4, 2)),
    ],
)
def test_extents(text, resolution, expected):
    assert extents(parse(f"{text}{',' if ':' in text else ':'}resolution={resolution}")) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mobilenet_v2-max-4222121", "stage 4 has no spatial extent left at 32x32 with strides 4222121"),
        ("mobilenet_v2-strided-4222121", "stage 4 has no spatial extent left at 32x32 with strides 4222121"),
        ("mobilenet_v2-max-1222121:resolution=36", "stage 3: a pool of 2 does not divide a map of 9x9"),
        ("mobilenet_v2-max-1222121:resolution=100", "resolutions that work: 96 and 128"),
        ("mobilenet_v2-strided-9999999:resolution=4096", "stage 4 has no spatial extent left"),
        ("mobilenet_v2-max-1222121:prepool=5", "prepool: a pool of 5 does not divide a map of 32x32"),
        ("mobilenet_v2-max-1222121:prepool=64", "prepool leaves nothing of an input of 32x32"),
        ("mobilenet_v2-max/average-1222121", "pooling has 2 values for 7 stages"),
        ("mobilenet_v2-max/avrage-1222121", "did you mean average"),
        ("mobilenet_v2-self_attentive-1222121:heads=2/4", "heads has 2 values for 7 stages"),
        ("mobilenet_v2-self_attentive-1222121:heads=2/", "heads must be a whole number, not ''"),
        ("mobilenet_v2-max-1222121:width=1e9", "it must lie between 0.01 and 8"),
        ("mobilenet_v2-max-1222121:classes=" + "9" * 5000, "classes must be a whole number"),
        ("mobilenet_v2-max-12221", "strides '12221' make no sense"),
        ("mobilenet_v2-max-1022121", "strides '1022121' make no sense"),
        ("mobilnet_v2", "did you mean mobilenet_v2"),
        ("mobilenet_v2-self_atentive-1222121", "did you mean self_attentive"),
        ("mobilenet_v2-max-1222121:widht=1", "did you mean width"),
        ("mobilenet_v2-max-1222121:heads=2", "no setting is called 'heads'"),
        ("mobilenet_v2-max-1222121:width=wide", "width must be a number"),
        ("mobilenet_v2-max-1222121:width=nan", "width nan makes no sense"),
        ("mobilenet_v2-max-1222121:width", "has no value"),
        ("mobilenet_v2-max-1222121:classes=1,classes=2", "given twice"),
        ("mobilenet_v2-max-1222121:placement=middle", "no placement is called 'middle'"),
        ("mobilenet_v2-max-1222121:classes=0", "classes 0 makes no sense"),
        ("mobilenet_v2-self_attentive-1222121:window_norm=maybe", "must be true or false"),
        ("mobilenet_v2:padding=valid", "no padding is called 'valid'"),
        ("mobilenet_v2:replace=18:ulsam", "replace: there is no block 18"),
        ("mobilenet_v1:replace=0:ulsam", "blocks count from 1 to 13"),
        ("mobilenet_v2:replace=12+12:ulsam", "block 12 is replaced twice"),
        ("mobilenet_v2:replace=12:ulsan", "did you mean ulsam"),
        ("mobilenet_v2:replace=12", "write BLOCK+BLOCK:MODULE:name=value"),
        ("mobilenet_v2:replace=twelve:ulsam", "a replaced block must be a whole number, not 'twelve'"),
        ("mobilenet_v2:replace=12:ulsam:gruops=2", "no option of ulsam is called 'gruops'"),
        ("mobilenet_v2:replace=12:ulsam:groups", "option 'groups' has no value"),
        ("mobilenet_v2:replace=12:ulsam:groups=2:groups=2", "option 'groups' is given twice"),
        ("mobilenet_v2:replace=12:ulsam:groups=few", "groups must be a whole number, not 'few'"),
        ("resnet18-max-1222:resolution=8,prepool=8", "the stem's pool leaves nothing of an input of 8x8"),
        ("ulsam_v2_15:widht=2", "did you mean width"),
        ("ulsam_v2_99", "did you mean ulsam_v2_"),
        ("a-b-c-d", "has 4 parts"),
        ("", "no backbone is called ''"),
    ],
)
def test_what_makes_no_sense_says_so(text, message):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": "wide"}, "width must be a number, not 'wide'"),
        ({"width": True}, "width must be a number, not True"),
        ({"classes": 2.5}, "classes must be a whole number, not 2.5"),
        ({"pooling": "self_attentive", "options": {"heads": "two"}}, "heads must be a whole number, not 'two'"),
        ({"pooling": "self_attentive", "options": {"window_norm": 1}}, "window_norm must be true or false, not 1"),
        ({"pooling": ()}, "pooling has 0 values for 7 stages"),
        ({"replace": ["12:ulsam"]}, "replace must hold Replacement objects, not '12:ulsam'"),
    ],
)
def test_values_of_the_wrong_type_are_refused(settings, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        ModelSpec(**settings)


def test_a_specification_needs_no_torch():
    code = "import sys, sapool.spec; sapool.spec.parse('mobilenet_v2'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
