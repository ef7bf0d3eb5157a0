"""Prices with layers in bands: what an export with `--bands` takes, and the commands that count on it."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from support.checkpoints import saved

from exporters import tflite
from firmware_sim import profiles, read
from firmware_sim.errors import UsageError
from firmware_sim.overlap.rules import ANY
from firmware_sim.rewrite.bands import preview
from firmware_sim.rewrite.bands.run import bands
from sapool import checkpoint, models
from sapool.cli.main import main
from sapool.plans import named
from sapool.pricing import bounds, price, report, settle
from sapool.spec import parse

SMALL = "mobilenet_v1-strided-12222:width=0.1,resolution=64,classes=4"
LOOPED = "mobilenet_v1-strided-11222:width=0.1,resolution=64,classes=4"


def exported(spec, profile="host64"):
    noise = np.random.default_rng(3).normal(size=(2, spec.resolution, spec.resolution, 3)).astype(np.float32)
    shape = (1, 3, spec.resolution, spec.resolution)
    return tflite.export(models.build(spec).eval(), shape, [noise], profile=profile).content


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "profile", "form"),
    [
        (SMALL, None, "explicit"),
        (SMALL, None, "views"),
        (LOOPED, "cortex-m-cmsis-nn-dsp", "loop"),
        ("mobilenet_v2-strided-1222121:width=0.1,resolution=48,classes=4", "cortex-m-reference", "explicit"),
    ],
)
def test_the_price_is_that_of_the_file_in_bands(text: str, profile: str | None, form: str):
    tflm = pytest.importorskip("firmware_sim.run.tflm")
    pytest.importorskip("tflite_micro")
    spec, build_id = parse(text), profile or "host64"
    plan = named("bands", profile, form=form)
    assert plan.kernels is not None
    found = bands(exported(spec, build_id), kernels=plan.kernels, profile=profiles.get(build_id), form=form)
    assert found.form == form
    assert (len(read(found.shrunk.content).subgraphs) > 1) == (form == "loop")
    cost = price(spec, profile=build_id, plan=plan.searched())
    after = found.shrunk.after
    assert (cost.arena.head_bytes, cost.arena.total_bytes) == (after.arena.head_bytes, after.arena.total_bytes)
    assert cost.arena.needed_bytes == after.arena.needed_bytes
    assert (cost.macs, cost.file_macs) == (found.macs, sum(layer.macs for layer in after.layers))
    assert cost.extra_macs <= 0.1 * cost.macs
    assert len(found.shrunk.content) <= cost.model_bytes <= 1.1 * len(found.shrunk.content)  # an estimate from above
    on_host = price(spec, plan=settle(spec, profile=build_id, plan=plan).searched())  # the same file on this machine
    assert tflm.Tflm(found.shrunk.content).arena.total_bytes == on_host.arena.total_bytes


@pytest.mark.parametrize(("text", "form"), [(SMALL, "explicit"), (LOOPED, "loop")])
def test_prices_keep_their_order(text: str, form: str):
    spec = parse(text)
    plan = named("bands", None, form=form)
    least, quick, whole = bounds(spec, plan=plan), price(spec, plan=plan), price(spec, plan=named("overlap", None))
    assert least.arena_bytes <= quick.arena.total_bytes <= whole.arena.total_bytes
    assert (quick.macs, quick.parameters) == (whole.macs, whole.parameters)
    assert bounds(spec, plan=plan).arena_bytes < bounds(spec, plan=named("overlap", None)).arena_bytes
    settled = settle(spec, plan=plan)
    exact = price(spec, plan=plan.searched())
    assert least.arena_bytes <= exact.arena.total_bytes <= quick.arena.total_bytes
    account = report(spec, plan=settled)
    assert account.arena.total_bytes == exact.arena.total_bytes
    assert sum(layer.macs for layer in account.layers) == exact.file_macs


@pytest.mark.parametrize(
    "text",
    [
        "mobilenet_v2-self_attentive-2121111:width=0.1,resolution=32",
        "mobilenet_v1-max-22222:width=0.1,resolution=64,placement=end",
    ],
)
@pytest.mark.parametrize("profile", ["host64", "cortex-m-cmsis-nn-mve"])
def test_no_bands_are_below_the_bounds(text: str, profile: str):
    spec, plan = parse(text), named("bands", profile)
    found = price(spec, profile=profile, plan=plan)
    assert bounds(spec, profile=profile, plan=plan).arena_bytes <= found.arena.total_bytes
    assert bounds(spec, profile=profile, plan=plan).model_bytes <= found.model_bytes


def test_bands_of_one_network_on_another():
    plan = settle(parse(SMALL), plan=named("bands", None))
    assert plan.like
    narrower = parse(SMALL.replace("0.1", "0.08"))
    with_bands, without = price(narrower, plan=plan), price(narrower, plan=named("overlap", None))
    assert with_bands.arena.total_bytes < without.arena.total_bytes
    # One with other layers has none of these stages.
    other = parse("mobilenet_v2-strided-1222121:width=0.1,resolution=32,classes=4")
    assert price(other, plan=plan).extra_macs == 0


def test_a_model_without_stages_has_no_bands():
    from support.tflite_files import doubling_convolution

    model = read(doubling_convolution())
    assert preview.best(model, ANY, profiles.get("host64"), 0.1, below_bytes=10) is None
    assert (
        preview.like(model, ANY, profiles.get("host64"), settle(parse(SMALL), plan=named("bands", None)).like) is None
    )


def test_names():
    plan = named("bands", "cortex-m-cmsis-nn-dsp", 0.05)
    assert (plan.name, plan.kernels, plan.max_extra_macs) == ("bands", "cmsis-nn-dsp", 0.05)
    assert "sapool export --bands --max-extra-macs 5% plans it for cmsis-nn-dsp kernels" in plan.words
    views = named("bands", None, form="views")
    assert "sapool export --bands --form views --max-extra-macs 10% plans it for any kernels" in views.words
    with pytest.raises(UsageError, match="--max-extra-macs is of bands"):
        named("overlap", None, 0.05)
    with pytest.raises(UsageError, match="--form is of bands"):
        named("tflm", None, form="loop")


def test_a_search_with_bands_finds_what_does_not_fit_without(capsys):
    needed = price(parse(SMALL), plan=named("overlap", None).searched()).arena.needed_bytes
    arguments = [
        "downsample", "--backbone", "mobilenet_v1", "--width", "0.1", "--resolution", "64", "--exact", "--pooling",
        "strided", "--strides", "12222", "--placement", "before", "--prepool", "1", "--classes", "4",
        "--arena", str(needed - 16), "--format", "json",
    ]  # fmt: skip
    assert main([*arguments, "--plan", "overlap"]) == 1
    assert "no network keeps the budget" in capsys.readouterr().err
    assert main([*arguments, "--plan", "bands"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"] == {"name": "bands", "kernels": "any", "form": "explicit"}
    (entry,) = found["front"]
    cost = price(parse(SMALL), plan=named("bands", None).searched())
    assert (entry["arena_bytes"], entry["extra_macs"]) == (cost.arena.needed_bytes, cost.extra_macs)


@pytest.mark.oracle
@pytest.mark.slow
def test_a_network_is_pruned_to_what_its_file_in_bands_takes(tmp_path, capsys):
    pytest.importorskip("tflite_micro")
    from firmware_sim.run.tflm import Tflm

    spec = parse(SMALL)
    path, pruned = saved(tmp_path, spec), tmp_path / "pruned.safetensors"
    limit = int(0.99 * price(spec, plan=named("bands", None).searched()).arena.needed_bytes)
    arguments = [
        "prune",
        str(path),
        "--arena",
        str(limit),
        "--plan",
        "bands",
        "--save",
        str(pruned),
        "--format",
        "json",
    ]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["plan"] == {"name": "bands", "kernels": "any", "form": "explicit"}
    narrow = checkpoint.load(pruned)
    found = bands(exported(narrow.spec))
    assert result["after"]["total_bytes"] == found.shrunk.after.arena.total_bytes
    assert Tflm(found.shrunk.content).arena.total_bytes <= limit
