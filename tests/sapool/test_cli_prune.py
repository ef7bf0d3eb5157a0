"""`sapool prune` as a user runs it."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from sapool import calibration, checkpoint  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.compress.pruning_report import schema  # noqa: E402
from sapool.models import build  # noqa: E402
from sapool.pricing import price  # noqa: E402
from sapool.spec import parse  # noqa: E402

SPEC = parse("mobilenet_v1-max-22111:width=0.1")


@pytest.fixture
def source(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    labels = tuple(str(digit) for digit in range(10))
    extra = {"split_seed": 3, "test_accuracy": 0.5}
    checkpoint.save(path, build(SPEC), SPEC, labels=labels, extra=extra)
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    calibration.save(calibration.beside(path), images)
    return path


def test_a_checkpoint_that_fits_and_goes_on_like_any_other(source, tmp_path, monkeypatch, capsys):
    target = tmp_path / "small" / "pruned.safetensors"
    target.parent.mkdir()
    limit = price(SPEC, profile="cortex-m-cmsis-nn-dsp").arena.total_bytes * 9 // 10
    arguments = ["--arena", str(limit), "--target", "nrf52840", "--save", str(target), "--format", "json"]
    assert main(["prune", str(source), *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(result, schema())
    loaded = checkpoint.load(target)
    assert str(loaded.spec) == result["spec"]
    assert loaded.header["split_seed"] == 3
    assert "test_accuracy" not in loaded.header
    cost = price(loaded.spec, profile="cortex-m-cmsis-nn-dsp")
    assert cost.arena.total_bytes == result["after"]["total_bytes"] <= limit < result["before"]["total_bytes"]

    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("tflite_micro")
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(target), "--target", "tflite-int8", "--verify", "4", "--format", "json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert exported["parity"]["equal"] is True
    assert exported["parity"]["arena_tflm_bytes"] == price(loaded.spec).arena.total_bytes
    assert exported["bytes"] == result["after"]["model_bytes"]


@pytest.mark.slow
def test_training_goes_on_from_a_pruned_checkpoint(source, tmp_path, capsys):
    assert main(["prune", str(source), "--ratio", "0.25"]) == 0
    pruned = checkpoint.load(source.with_name("pruned.safetensors"))
    run = tmp_path / "run"
    arguments = ["--weights", str(source.with_name("pruned.safetensors")), "--epochs", "1", "--output", str(run)]
    assert main(["train", "--data", "digits", "--model", str(pruned.spec), *arguments]) == 0
    assert checkpoint.load(run / "model.safetensors").spec == pruned.spec


def test_the_report_says_where_the_peak_is_and_what_went(source, capsys):
    limit = price(SPEC).arena.total_bytes * 9 // 10
    assert main(["prune", str(source), "--arena", str(limit), "--steps", "2"]) == 0
    captured = capsys.readouterr()
    assert "step 2: arena" in captured.out
    assert "peak    " in captured.out
    assert "off what is over it" in captured.out
    assert "pruning: " in captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--arena", "1KiB"], 1, "pruning reaches an arena of"),
        (["--arena", "1KiB", "--target", "nrf5284"], 2, "did you mean nrf52840"),
        (["--ratio", "1"], 2, "empties every layer"),
        (["--ratio", "0.5", "--arena", "9KiB"], 2, "--ratio takes the place of a budget"),
        ([], 2, "there is no budget"),
        (["--arena", "9KiB", "--importance", "taylor"], 2, "needs gradients"),
        (["--arena", "9KiB", "--data", "nowhere"], 3, "nowhere"),
    ],
)
def test_bad_input_is_one_error_and_writes_nothing(source, arguments, code, message, capsys):
    assert main(["prune", str(source), *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not source.with_name("pruned.safetensors").exists()


def test_a_missing_package_is_named(source, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "torch_pruning" else object())
    assert main(["prune", str(source), "--arena", "9KiB"]) == 2
    assert "pip install 'sapool[train]'" in capsys.readouterr().err
