"""`sapool export --shrink`: less arena, the same outputs, and said for which kernels."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")
tflm = pytest.importorskip("firmware_sim.run.tflm")
pytest.importorskip("tflite_micro")

from support.checkpoints import saved  # noqa: E402

from firmware_sim import memreport, read  # noqa: E402
from firmware_sim.overlap import stored  # noqa: E402
from sapool import presets  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.export import shrinks_by_default  # noqa: E402
from sapool.spec import parse  # noqa: E402

SPEC = parse("mobilenet_v1-strided-12222:width=0.1,resolution=64,classes=4")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("run"), SPEC)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.oracle
def test_the_file_is_shrunk_for_the_kernels_of_its_target(source, here, capsys):
    arguments = ["export", str(source), "--target", "tflite-int8", "--verify", "2", "--format", "json"]
    assert main([*arguments, "-o", "plain.tflite"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["shrink"] is None
    assert main([*arguments, "--shrink", "--for", "cortex-m-reference", "-o", "small.tflite"]) == 0
    small = json.loads(capsys.readouterr().out)["shrink"]
    model = read(here / "small.tflite")
    assert stored.recorded_kernels(model) == small["kernels"] == "reference"
    arena = memreport(model, profile="cortex-m-reference").arena
    assert {"head_bytes": arena.head_bytes, "total_bytes": arena.total_bytes} == small["after"]
    assert small["after"]["total_bytes"] < small["before"]["total_bytes"]
    assert small["proof"]["inputs"] == 100
    # TFLM on this machine is host64, whose head is the same.
    old, new = (tflm.Tflm((here / name).read_bytes()) for name in ("plain.tflite", "small.tflite"))
    assert new.arena.head_bytes == small["after"]["head_bytes"] < old.arena.head_bytes
    image = np.random.default_rng(1).integers(-128, 128, (1, 64, 64, 3)).astype(np.int8)
    assert old.invoke(image)[0].tobytes() == new.invoke(image)[0].tobytes()


def test_without_a_target_the_plan_is_for_all_known_kernels(source, here, capsys):
    assert main(["export", str(source), "--target", "tflite-int8", "--verify", "0", "--shrink"]) == 0
    text = capsys.readouterr().out
    assert "the memory plan is for reference, cmsis-nn, cmsis-nn-dsp, cmsis-nn-mve; outputs may be wrong" in text
    assert stored.recorded_kernels(read(here / "model.tflite")) == "any"


def test_a_firmware_gets_the_smaller_arena(source, here, capsys):
    arguments = ["export", str(source), "--target", "tflm-c", "--verify", "0", "--for", "cortex-m-cmsis-nn-mve"]
    needed = []
    for switch in ("--no-shrink", "--shrink"):
        assert main([*arguments, switch, "--format", "json"]) == 0
        needed.append(json.loads(capsys.readouterr().out)["firmware_arena"]["needed_bytes"]["cortex-m-cmsis-nn-mve"])
    assert needed[1] < needed[0]
    assert stored.recorded_kernels(read(here / "model-tflm" / "model.tflite")) == "cmsis-nn-mve"


def test_an_onnx_file_has_no_plan(source, capsys):
    assert main(["export", str(source), "--target", "onnx-int8", "--shrink"]) == 2
    assert "an ONNX file has no memory plan" in capsys.readouterr().err


def test_presets_for_small_devices_are_shrunk_by_default():
    chosen = {preset.name for preset in presets.all() if shrinks_by_default(parse(preset.spec))}
    assert chosen == {"nano", "tiny", "small", "medium"}
    assert shrinks_by_default(parse("tiny", classes=3, resolution=80))
    assert shrinks_by_default(parse("small", pruned={"stem": 4}))
    assert not shrinks_by_default(parse("tiny", width=0.2))
    assert not shrinks_by_default(SPEC)
