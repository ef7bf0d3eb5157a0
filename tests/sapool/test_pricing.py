"""The price of a specification, against published figures and against the file that an export writes."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from exporters import tflite
from exporters.errors import ExportError
from exporters.forms import Forms
from exporters.outline import join
from exporters.preview import preview
from exporters.sharing import shared
from firmware_sim import memreport, profiles, read
from firmware_sim.memory import chain
from firmware_sim.memory.account import arena
from sapool import catalog, metadata, pricing
from sapool.checkpoint import Checkpoint
from sapool.cli.main import main
from sapool.errors import UsageError
from sapool.export import to_tflite
from sapool.metadata import Notes
from sapool.models import build, parts
from sapool.pricing import bounds, price, report
from sapool.spec import ModelSpec, parse


@pytest.mark.oracle
def test_stock_mobilenet_v2_costs_what_is_published():
    # 300M multiply-accumulates and 3.4M parameters (table 4 of the paper; torchvision counts 3,504,872).
    cost = price(parse("mobilenet_v2-strided-1222121:resolution=224,classes=1000"))
    assert round(cost.macs / 1e6) == 301
    assert cost.parameters == 3_504_872
    assert cost.arena.exact


@pytest.mark.oracle
def test_the_price_is_what_tflm_uses():
    tflm = pytest.importorskip("firmware_sim.run.tflm")
    pytest.importorskip("tflite_micro")
    spec = parse("mobilenet_v2-self_attentive-1221121:width=0.2,classes=3")
    noise = np.random.default_rng(3).normal(size=(4, 32, 32, 3)).astype(np.float32)
    content = tflite.export(build(spec).eval(), (1, 3, 32, 32), [noise]).content
    used = tflm.Tflm(content).arena
    arena = price(spec).arena
    assert (arena.total_bytes, arena.head_bytes, arena.tail_bytes) == (
        used.total_bytes, used.head_bytes, used.tail_bytes,
    )  # fmt: skip


def test_models_tells_the_price(capsys):
    text = "mobilenet_v2-average-1221121:width=0.1,classes=2"
    assert main(["models", text, "--format", "json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    cost = price(parse(text))
    assert model["spec"] == text
    assert model["arena"]["total_bytes"] == cost.arena.total_bytes
    assert model["extents"] == [16, 16, 8, 4, 4, 4, 2, 2]
    assert main(["models", text]) == 0
    assert f"{cost.macs:,}" in capsys.readouterr().out


def test_models_lists_what_a_specification_can_name(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for word in ("mobilenet_v2", "self_attentive", "window_norm", "before"):
        assert word in out


def test_a_specification_that_makes_no_sense_is_one_error(capsys):
    assert main(["models", "mobilenet_v2-max-4222121"]) == 2
    assert "no spatial extent left" in capsys.readouterr().err


METHODS = ("average", "blurpool", "lip", "max", "self_attentive", "strided", "subspace_attention", "ulsam")
PROFILES = ("host64", "cortex-m-reference", "cortex-m-cmsis-nn-dsp", "cortex-m-cmsis-nn-mve")


@st.composite
def specs(draw):
    backbone = draw(st.sampled_from(sorted(catalog.BACKBONES)))
    stages = len(catalog.BACKBONES[backbone].strides)
    methods = tuple(draw(st.lists(st.sampled_from(METHODS), min_size=stages, max_size=stages)))
    try:
        return ModelSpec(
            backbone,
            draw(st.one_of(st.sampled_from(METHODS), st.just(methods))),
            "".join(draw(st.lists(st.sampled_from("1123"), min_size=stages, max_size=stages))),
            draw(st.sampled_from((0.1, 0.25, 0.35))),
            draw(st.sampled_from(catalog.PLACEMENTS)),
            draw(st.sampled_from((1, 1, 2, 4))),
            draw(st.sampled_from((32, 48, 64))),
            draw(st.integers(1, 12)),
            draw(st.sampled_from((1, 3))),
        )
    except UsageError:
        assume(False)


@pytest.mark.slow
@given(specs(), st.sampled_from(PROFILES))
@example(parse("mobilenet_v2-max-1222111:width=0.1,resolution=48,padding=symmetric"), "host64")
@example(parse("mobilenet_v2-self_attentive-1221121:width=0.2,prepool=2,resolution=64"), "cortex-m-cmsis-nn-mve")
@example(parse("mobilenet_v2-self_attentive-1221121:width=0.35,window_norm=true"), "host64")
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_the_price_is_that_of_the_exported_file(spec, profile):
    import torch

    torch.manual_seed(0)
    try:
        net = build(spec).eval()
    except UsageError as error:
        with pytest.raises(UsageError, match=re.escape(error.message)):
            price(spec)
        return
    size = spec.resolution
    noise = np.random.default_rng(0).uniform(-1, 1, (2, size, size, spec.channels)).astype(np.float32)
    try:
        content = tflite.export(net, (1, spec.channels, size, size), [noise], profile=profile).content
    except ExportError as error:  # a layer without an integer form at this size
        with pytest.raises(ExportError, match=re.escape(error.message)):
            price(spec, profile=profile)
        return
    found = memreport(read(content, name=str(spec)), profile=profile)
    cost = price(spec, profile=profile)
    assert cost.arena == found.arena
    assert cost.model_bytes == len(content)
    assert cost.macs == sum(layer.macs for layer in found.layers)
    assert cost.parameters == sum(p.numel() for p in net.parameters())
    assert report(spec, profile=profile).layers == found.layers
    least = bounds(spec, profile=profile)
    assert least.parameters == cost.parameters
    assert least.macs <= cost.macs <= least.most_macs
    assert 0.85 * cost.arena.total_bytes <= least.arena_bytes <= cost.arena.total_bytes
    assert 0.7 * cost.model_bytes <= least.model_bytes <= cost.model_bytes


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "text",
    [
        "mobilenet_v2-self_attentive-2221111:width=0.2,resolution=48",
        "resnet18-average/self_attentive/max/blurpool-2212:width=0.1,resolution=64",
        "mobilenet_v1-lip-22211:width=0.25,prepool=2,resolution=96",
        "mobilenet_v2-self_attentive-1221121:width=0.35,window_norm=true",  # two pools of as many channels
    ],
)
def test_the_arena_from_parts_is_that_of_the_network_in_every_form(text, profile):
    spec = parse(text)
    network, met = parts(spec), Forms()
    pricing._outlines(spec, network, met)
    for taken in itertools.islice(itertools.product(*met.met.values()), 12):
        made = pricing._outlines(spec, network, Forms(dict(zip(met.met, taken, strict=True))))
        links = [pricing._link(part, profile) for _, part in made]
        whole = arena(preview(shared(join(made)), 0, name=""), profiles.get(profile)).total_bytes
        repeated, target = pricing._repeated(made), profiles.get(profile)
        assert chain.total_bytes(links, target, repeated=repeated) == whole
        assert whole - 1 < chain.total_bytes(links, target, most=whole - 1, repeated=repeated)


def test_the_price_of_a_checkpoint_counts_what_its_file_says_of_itself():
    spec = parse("mobilenet_v2-max-2221111:width=0.1,classes=2")
    checkpoint = Checkpoint(build(spec).eval(), spec, ("cat", "dög"), {"split_seed": 3})
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    content = to_tflite(checkpoint, images).content
    assert price(spec, notes=Notes.of(checkpoint)).model_bytes == len(content)
    assert price(spec).model_bytes < len(content)
    assert metadata.NAME in read(content).metadata
