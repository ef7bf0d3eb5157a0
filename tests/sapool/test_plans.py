"""Prices with a memory plan in which outputs overlap inputs: what an export that is shrunk takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from exporters import tflite
from exporters.quantize import Calibration
from firmware_sim import profiles
from firmware_sim.accounting import LayerUse, LiveBuffer
from firmware_sim.errors import SapoolError
from firmware_sim.rewrite.shrink import shrink
from sapool import plans
from sapool.cli.main import main
from sapool.compress.choice import in_use_bytes
from sapool.models import build
from sapool.plans import TFLM, named
from sapool.pricing import bounds, price, report
from sapool.spec import ModelSpec, parse

BUILDS = ("host64", "cortex-m-cmsis-nn", "cortex-m-cmsis-nn-dsp", "cortex-m-cmsis-nn-mve")


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("text", "profile", "cleaned_bytes"),
    [
        ("mobilenet_v1-strided-12222:width=0.15,resolution=64", "cortex-m-reference", 0),
        ("mobilenet_v1-strided-12222:width=0.15,resolution=64", None, 0),
        ("mobilenet_v2-max-1222121:width=0.1,resolution=64", "cortex-m-cmsis-nn-dsp", 0),
        # Of attention, constants that are equal become one, which a price does not know: biases, unless they are corrected.
        ("mobilenet_v2-self_attentive-2121111:width=0.1,resolution=32", "cortex-m-cmsis-nn-mve", 16),
    ],
)
def test_the_price_is_that_of_the_shrunk_export(text: str, profile: str | None, cleaned_bytes: int):
    spec = parse(text, classes=4)
    noise = np.random.default_rng(3).normal(size=(2, spec.resolution, spec.resolution, 3)).astype(np.float32)
    build_id = profile or "host64"
    content = tflite.export(
        build(spec).eval(), (1, 3, spec.resolution, spec.resolution), [noise], profile=build_id,
        settings=Calibration(bias_correction=False),
    ).content  # fmt: skip
    plan = named("overlap", profile).searched()
    assert plan.kernels is not None
    shrunk = shrink(content, kernels=plan.kernels, profile=profiles.get(build_id))
    cost = price(spec, profile=build_id, plan=plan)
    assert shrunk.after.arena.head_bytes == cost.arena.head_bytes
    assert shrunk.after.arena.total_bytes == cost.arena.total_bytes - cleaned_bytes
    assert cost.arena.total_bytes <= shrunk.before.arena.total_bytes == price(spec, profile=build_id).arena.total_bytes
    assert len(shrunk.content) <= cost.model_bytes <= 1.05 * len(shrunk.content)  # an estimate from above


@given(
    st.sampled_from(["mobilenet_v1", "mobilenet_v2"]),
    st.sampled_from(["strided", "max", "self_attentive"]),
    st.sampled_from([0.1, 0.2, 0.35]),
    st.sampled_from([32, 48, 64]),
    st.sampled_from(["before", "end"]),
    st.sampled_from(BUILDS),
    st.booleans(),
)
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.filter_too_much])
def test_bounds_and_plans_keep_their_order(backbone, pooling, width, resolution, placement, profile, is_named):
    plan = named("overlap", profile if is_named else None)
    try:
        spec = ModelSpec(backbone, pooling, "", width, placement, resolution=resolution)
        plain = price(spec, profile=profile)
    except SapoolError:
        assume(False)
    cost = price(spec, profile=profile, plan=plan)
    assert bounds(spec, profile=profile, plan=plan).arena_bytes <= cost.arena.total_bytes <= plain.arena.total_bytes
    assert (cost.macs, cost.parameters) == (plain.macs, plain.parameters)
    account = report(spec, profile=profile, plan=plan)
    assert account.arena.total_bytes == cost.arena.total_bytes
    assert all(in_use_bytes(layer) <= account.arena.head_bytes for layer in account.layers)
    assert all(in_use_bytes(layer) == layer.live_bytes for layer in report(spec, profile=profile).layers)


def test_shared_bytes_are_in_use_once():
    live = [LiveBuffer("x", 64, 16), LiveBuffer("y", 64, 0), LiveBuffer("z", 16, 96), LiveBuffer("s", 8, 20)]
    assert in_use_bytes(LayerUse(0, "ABS", "y", 0, 0, 0, 0, 0, 0, False, tuple(live))) == 96


def test_names():
    assert named("tflm", None) is TFLM
    assert named("overlap", None).kernels == "any"
    assert named("overlap", "cortex-m-cmsis-nn-dsp").kernels == "cmsis-nn-dsp"
    assert (TFLM.name, named("overlap", None).name, named("bands", None).name) == plans.NAMES
    assert TFLM.searched() is TFLM


def test_a_search_with_overlaps_finds_what_does_not_fit_without(capsys):
    spec = "mobilenet_v1-strided-12222:width=0.2,resolution=64"
    plain = price(parse(spec), profile="cortex-m-reference").arena
    arguments = [
        "downsample", "--backbone", "mobilenet_v1", "--width", "0.2", "--resolution", "64", "--exact", "--pooling",
        "strided", "--strides", "12222", "--placement", "before", "--prepool", "1", "--target", "cortex-m-reference",
        "--arena", str(plain.total_bytes - 16), "--format", "json",
    ]  # fmt: skip
    assert main(arguments) == 1
    assert "no network keeps the budget" in capsys.readouterr().err
    assert main([*arguments, "--plan", "overlap"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"] == {"name": "overlap", "kernels": "reference", "form": None}
    assert [entry["spec"] for entry in found["front"]] == [spec]
    plan = named("overlap", "cortex-m-reference").searched()
    assert found["front"][0]["head_bytes"] == price(
        parse(spec), profile="cortex-m-reference", plan=plan
    ).arena.head_bytes  # fmt: skip
