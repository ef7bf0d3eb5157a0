"""Specifications: text and object, and what makes no sense."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapool import catalog
from sapool.errors import UsageError
from sapool.spec import ModelSpec, extents, parse


@st.composite
def specs(draw):
    pooling = draw(st.sampled_from(sorted(catalog.POOLING)))
    kinds = {int: st.integers(1, 8), float: st.floats(0.1, 4), bool: st.booleans()}
    names = draw(st.sets(st.sampled_from(sorted(catalog.POOLING_OPTIONS[pooling]) or ["none"])))
    options = {n: draw(kinds[catalog.POOLING_OPTIONS[pooling][n]]) for n in sorted(names - {"none"})}
    return ModelSpec(
        pooling=pooling,
        strides=draw(st.sampled_from(["1222121", "2221111", "1111111", "4211121"])),
        width=draw(st.floats(0.1, 2.0)),
        placement=draw(st.sampled_from(catalog.PLACEMENTS)),
        prepool=draw(st.sampled_from([1, 2, 4])),
        resolution=draw(st.sampled_from([64, 128, 256])),
        classes=draw(st.integers(1, 1000)),
        channels=draw(st.sampled_from([1, 3])),
        options=options,
    )


@given(specs())
def test_text_and_object_are_the_same(spec):
    assert parse(str(spec)) == spec
    assert hash(parse(str(spec))) == hash(spec)


def test_defaults_are_not_written():
    assert str(parse("mobilenet_v2-self_attentive-1221121")) == "mobilenet_v2-self_attentive-1221121"
    assert str(parse("mobilenet_v2")) == "mobilenet_v2-strided-1222121"
    spec = parse("mobilenet_v2-self_attentive-1221121:heads=4,width=0.35")
    assert str(spec) == "mobilenet_v2-self_attentive-1221121:width=0.35,heads=4"


@pytest.mark.parametrize(
    ("text", "resolution", "expected"),
    [
        ("mobilenet_v2-strided-1222121", 224, (112, 112, 56, 28, 14, 14, 7, 7)),  # table 2 of the paper
        ("mobilenet_v2-strided-1222121", 96, (48, 48, 24, 12, 6, 6, 3, 3)),
        ("mobilenet_v2-strided-1222121", 33, (17, 17, 9, 5, 3, 3, 2, 2)),
        ("mobilenet_v2-average-4222121:prepool=4", 512, (128, 32, 16, 8, 4, 4, 2, 2)),
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
        ("mobilenet_v2-max-1222121:prepool=5", "prepool: a pool of 5 does not divide a map of 32x32"),
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
        ("a-b-c-d", "has 4 parts"),
        ("", "no backbone is called ''"),
    ],
)
def test_what_makes_no_sense_says_so(text, message):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_specification_needs_no_torch():
    code = "import sys, sapool.spec; sapool.spec.parse('mobilenet_v2'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
