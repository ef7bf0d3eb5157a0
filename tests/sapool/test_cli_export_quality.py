"""`sapool export`: how it calibrates, and its comparison with float."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")

from exporters.quantize.estimators import methods  # noqa: E402
from firmware_sim.model import read  # noqa: E402
from sapool import calibration, checkpoint, models  # noqa: E402
from sapool.cli.export_options import METHODS  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.spec import parse  # noqa: E402

SPEC = parse("resnet18-strided-2122:width=0.1,classes=4")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "model.safetensors", models.build(SPEC), SPEC, labels=("a", "b", "c", "d"))
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
    calibration.save(calibration.beside(tmp_path / "model.safetensors"), images)
    return "model.safetensors"


def export(source, *arguments, target="tflite-int8"):
    return main(["export", source, "--target", target, "--verify", "0", *arguments])


def test_the_choices_are_those_of_the_library():
    assert methods()[: len(METHODS)] == METHODS


def test_the_report_and_the_file_say_how_it_was_calibrated(source, capsys):
    arguments = ["--calibration-method", "minmax", "--no-bias-correction", "--equalise"]
    assert export(source, *arguments, "--format", "json") == 0
    done = json.loads(capsys.readouterr().out)["calibration"]
    assert done == {
        "method": "minmax", "bias_correction": False, "equalisation": True, "examples": 12, "equalised_pairs": 0,
        "relu6_pairs": 0,
    }  # fmt: skip
    assert json.loads(bytes(read("model.tflite").metadata["sapool.calibration/1"])) == done
    first = Path("model.tflite").read_bytes()
    assert export(source) == 0
    assert "mse over 12 images; biases corrected" in capsys.readouterr().out
    assert Path("model.tflite").read_bytes() != first
    assert export(source, *arguments) == 0
    assert Path("model.tflite").read_bytes() == first


def test_an_unknown_method_is_refused(source, capsys):
    assert export(source, "--calibration-method", "entropy") == 2
    assert "percentile" in capsys.readouterr().err
    assert not Path("model.tflite").exists()


def test_compare_prints_the_worst_layers_and_the_json_report_has_all(source, capsys):
    assert export(source, "--compare", "--compare-images", "3") == 0
    text = capsys.readouterr().out
    assert "Int8 and float over 3 examples" in text
    assert export(source, "--compare", "--format", "json") == 0
    summary = json.loads(capsys.readouterr().out)
    found = summary["compare"]
    assert found["examples"] == 12
    assert len(found["layers"]) == summary["operators"]
    worst = found["layers"][found["worst"][0]]
    assert worst["own_sqnr_db"] == min(layer["own_sqnr_db"] or 1e9 for layer in found["layers"])
    assert text.index(f"{worst['op']} {worst['layer']}") > text.index("lose most by themselves")
    assert 0 < found["logit_error"] < 0.2


@pytest.mark.parametrize("target", ["tflite-int8", "onnx-int8", "tflm-c"])
def test_compare_output_writes_each_format(source, capsys, target):
    names = ["e.txt", "e.json", "e.csv", "e.html", "e.svg"]
    options = [part for name in names for part in ("--compare-output", f"out/{name}")]
    Path("out").mkdir()
    assert export(source, *options, "--compare-images", "2", target=target) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(names)
    assert json.loads(Path("out/e.json").read_text())["examples"] == 2
    for name in ("e.html", "e.svg"):
        ElementTree.parse(Path("out") / name)


@pytest.mark.parametrize(
    ("arguments", "target", "message"),
    [
        (["--compare"], "onnx", "onnx-int8"),
        (["--compare-output", "errors.png"], "tflite-int8", ".html"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(source, capsys, arguments, target, message):
    before = sorted(Path().iterdir())
    assert export(source, *arguments, target=target) == 2
    assert message in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before
