"""`sapool export --bands`: early layers in bands of rows, in what is exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.foreign_nets import Vgg

torch = pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")
tflm = pytest.importorskip("firmware_sim.run.tflm")
pytest.importorskip("tflite_micro")

from support.checkpoints import saved  # noqa: E402

from exporters import tflite  # noqa: E402
from firmware_sim import memreport, read  # noqa: E402
from firmware_sim.overlap import stored  # noqa: E402
from sapool.cli.export import _text  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.export import banded  # noqa: E402
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
@pytest.mark.slow
def test_a_firmware_has_bands_and_registers_what_they_need(source, here, capsys):
    arguments = ["export", str(source), "--verify", "1", "--format", "json"]
    assert main([*arguments, "--target", "tflite-int8"]) == 0
    assert json.loads(capsys.readouterr().out)["bands"] is None
    assert main([*arguments, "--target", "tflm-c", "--bands", "--max-extra-macs", "5%"]) == 0
    summary = json.loads(capsys.readouterr().out)
    done = summary["bands"]
    assert done["form"] == "explicit"
    assert done["tensors_compared"]["in_litert"]
    assert summary["shrink"]["proof"]["inputs"] == 100
    (chosen,) = [rung for rung in done["ladder"] if rung["chosen"]]
    assert chosen["macs"] <= 1.05 * done["macs"]
    old, new = (here / name for name in ("model.tflite", "model-tflm/model.tflite"))
    assert stored.recorded_bands(read(new)) == "explicit"
    before, after = (tflm.Tflm(path.read_bytes()) for path in (old, new))
    assert after.arena.total_bytes == summary["shrink"]["after"]["total_bytes"] < before.arena.total_bytes
    image = np.random.default_rng(1).integers(-128, 128, (1, 64, 64, 3)).astype(np.int8)
    assert before.invoke(image)[0].tobytes() == after.invoke(image)[0].tobytes()
    resolver = (here / "model-tflm" / "model_resolver.h").read_text("utf-8")
    kinds = {operator.op for operator in read(new).subgraphs[0].operators}
    assert resolver.count("resolver.Add") == len(kinds)
    assert "AddSlice" in resolver
    assert "AddConcatenation" in resolver


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("form", ["views", "loop"])
def test_other_forms_are_proven_in_tflm_alone(form, tmp_path, here, capsys):
    source = saved(tmp_path, parse("mobilenet_v1-strided-11222:width=0.1,resolution=64,classes=4"))
    arguments = ["export", str(source), "--target", "tflm-c", "--for", "cortex-m-cmsis-nn-dsp", "--verify", "2"]
    assert main([*arguments, "--bands", "--form", form, "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    done, path = summary["bands"], here / "model-tflm" / "model.tflite"
    assert done["form"] == stored.recorded_bands(read(path)) == form
    assert not done["tensors_compared"]["in_litert"]
    assert done["tensors_compared"]["compared"]
    assert summary["shrink"]["proof"]["inputs"] == 100
    assert summary["parity"] == {
        "examples": 2, "equal": True, "before_bands": True,
        "arena_tflm_bytes": tflm.Tflm(path.read_bytes()).arena.total_bytes,
    }  # fmt: skip
    kinds = {operator.op for subgraph in read(path).subgraphs for operator in subgraph.operators}
    assert ("WHILE" in kinds) == (form == "loop")
    resolver = (here / "model-tflm" / "model_resolver.h").read_text("utf-8")
    assert resolver.count("resolver.Add") == len(kinds)
    assert set(done["new_operators"]) <= kinds
    text = _text(summary)
    assert f"  written   as {form}: " in text
    assert "2 of 2 images, without bands: LiteRT cannot run what is written" in text


@pytest.mark.oracle
@pytest.mark.slow
def test_a_network_that_knows_nothing_of_sapool():
    torch.manual_seed(0)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    model = tflite.export(Vgg().eval(), (1, 3, 32, 32), [images])
    found, report = banded(model, profile="cortex-m-reference", max_extra_macs=0.5)
    assert report.banded.form
    assert report.proof
    assert report.tensors
    arenas = [memreport(read(each.content), profile="cortex-m-reference").arena for each in (model, found)]
    assert arenas[1].total_bytes == report.banded.shrunk.after.arena.total_bytes < arenas[0].total_bytes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target", "onnx", "--bands"], "--bands is for tflite-int8 and tflm-c"),
        (["--target", "onnx-int8", "--bands"], "--bands is for tflite-int8 and tflm-c"),
        (["--target", "tflite-int8", "--bands", "--no-shrink"], "leave --no-shrink out"),
        (["--target", "tflite-int8", "--max-extra-macs", "5%"], "give --bands as well"),
        (["--target", "tflite-int8", "--form", "views"], "--form is of bands"),
    ],
)
def test_what_does_not_go_together_is_refused(source, options, words, capsys):
    assert main(["export", str(source), *options]) == 2
    assert words in capsys.readouterr().err
