"""`sapool export` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("tflite_micro")

from firmware_sim import memreport  # noqa: E402
from firmware_sim.model import read  # noqa: E402
from sapool import calibration, checkpoint, models  # noqa: E402
from sapool.cli.main import main  # noqa: E402
from sapool.spec import parse  # noqa: E402

SPEC = parse("mobilenet_v2-self_attentive-2121111:width=0.1,classes=4")
LABELS = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    checkpoint.save(folder / "model.safetensors", models.build(SPEC), SPEC, labels=LABELS)
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3)).astype(np.uint8)
    calibration.save(calibration.beside(folder / "model.safetensors"), images)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.oracle
def test_tflite_lands_in_the_current_folder_and_is_what_the_report_says(run_folder, here, capsys):
    source = run_folder / "model.safetensors"
    assert main(["export", str(source), "--target", "tflite-int8", "--verify", "5", "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    content = Path("model.tflite").read_bytes()
    assert summary["bytes"] == len(content)
    assert summary["parity"] == {
        "examples": 5, "equal": True, "before_bands": False, "arena_tflm_bytes": summary["arena"]["total_bytes"],
    }  # fmt: skip
    report = memreport(read(content))
    assert report.arena.total_bytes == summary["arena"]["total_bytes"]
    forms = json.loads(bytes(read(content).metadata["sapool.forms/1"]))
    assert forms == {choice["layer"]: choice["form"] for choice in summary["forms"]}
    for choice in summary["forms"]:
        assert choice["arena_bytes"][choice["form"]] == min(choice["arena_bytes"].values()) == report.arena.total_bytes
    metadata = json.loads(bytes(read(content).metadata["sapool.model/1"]))
    assert metadata["labels"] == list(LABELS)
    assert metadata["spec"] == str(SPEC)
    assert metadata["input"]["scale"] == 1 / 128


def test_the_text_says_what_a_user_wants_to_know(run_folder, here, capsys):
    assert main(["export", str(run_folder / "model.safetensors"), "--target", "tflite-int8", "--verify", "3"]) == 0
    text = capsys.readouterr().out
    for part in ("model.tflite", "pixel - 128", "3 of 3 images", "exact", "attention:", "host64"):
        assert part in text


def test_the_arena_is_that_of_the_board_that_was_named(run_folder, here, capsys):
    source = str(run_folder / "model.safetensors")
    arguments = ["--target", "tflite-int8", "--verify", "0", "--format", "json", "--for"]
    assert main(["export", source, *arguments, "nrf52840"]) == 0
    summary = json.loads(capsys.readouterr().out)
    profile = summary["arena"]["profile"]
    assert profile.startswith("cortex-m")
    assert summary["arena"]["total_bytes"] == memreport(read("model.tflite"), profile=profile).arena.total_bytes
    assert main(["export", source, *arguments, "nrf52841"]) == 2
    assert "nrf52840" in capsys.readouterr().err


def test_a_firmware_lands_in_a_folder_of_its_own(run_folder, here, capsys):
    source = str(run_folder / "model.safetensors")
    arguments = ["export", source, "--target", "tflm-c", "--verify", "0", "--for", "stm32f746"]
    assert main([*arguments, "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = Path("model-tflm")
    assert sorted(path.name for path in folder.iterdir()) == summary["files"]
    content = (folder / "model.tflite").read_bytes()
    profile = summary["arena"]["profile"]
    needed = memreport(read(content), profile=profile).arena.minimum_bytes
    assert summary["firmware_arena"]["needed_bytes"] == {profile: needed}
    settings = (folder / "model_settings.h").read_text()
    assert f"kArenaNeeded = {needed};" in settings
    assert '"a",' in settings
    assert "0.0078125f, 0, 4, {1, 32, 32, 3}" in settings
    # Again into the same folder, and never into one that holds something else.
    assert main(arguments) == 0
    assert "firmware" in capsys.readouterr().out
    (folder / "notes.txt").write_text("mine")
    assert main(arguments) == 2
    assert "notes.txt" in capsys.readouterr().err
    assert (folder / "model.tflite").read_bytes() == content


def test_two_exports_are_the_same_bytes(run_folder, here):
    for name in ("a.tflite", "b.tflite"):
        arguments = ["--target", "tflite-int8", "-o", name, "--verify", "0"]
        assert main(["export", str(run_folder / "model.safetensors"), *arguments]) == 0
    assert Path("a.tflite").read_bytes() == Path("b.tflite").read_bytes()


@pytest.mark.oracle
def test_onnx(run_folder, here, capsys):
    import onnx

    assert main(["export", str(run_folder / "model.safetensors"), "--target", "onnx", "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["max_abs_error"] <= 1e-4
    onnx.checker.check_model(onnx.load("model.onnx"), full_check=True)


@pytest.mark.oracle
def test_onnx_int8_says_how_near_it_is(run_folder, here, capsys):
    import onnx

    source = str(run_folder / "model.safetensors")
    arguments = ["--target", "onnx-int8", "--verify", "4", "--fixed-batch"]
    assert main(["export", source, *arguments, "--format", "json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["path"] == "model-int8.onnx"
    assert summary["agreement"]["examples"] == 4
    assert 0 <= summary["agreement"]["rms_steps"] <= 16
    parsed = onnx.load("model-int8.onnx")
    onnx.checker.check_model(parsed, full_check=True)
    assert parsed.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert main(["export", source, *arguments]) == 0
    text = capsys.readouterr().out
    assert "one image at a time" in text
    assert "opset 18" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.safetensors", "--target", "onnx"], 3, "none.safetensors"),
        (["none.safetensors"], 2, "--target"),
        (["none.safetensors", "--target", "tflite-int16"], 2, "tflite-int8"),
    ],
)
def test_bad_calls_are_one_error(here, capsys, arguments, code, message):
    assert main(["export", *arguments]) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_without_calibration_images_it_says_what_to_give(run_folder, here, capsys):
    lonely = here / "lonely.safetensors"
    lonely.write_bytes((run_folder / "model.safetensors").read_bytes())
    assert main(["export", str(lonely), "--target", "tflite-int8"]) == 2
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00"])
def test_damaged_calibration_images_are_one_error(run_folder, here, capsys, content):
    copy = here / "model.safetensors"
    copy.write_bytes((run_folder / "model.safetensors").read_bytes())
    calibration.beside(copy).write_bytes(content)
    assert main(["export", str(copy), "--target", "tflite-int8"]) == 3
    assert "calibration" in capsys.readouterr().err
    assert not Path("model.tflite").exists()


def test_calibration_images_of_another_size_are_refused(run_folder, here, capsys):
    copy = here / "model.safetensors"
    copy.write_bytes((run_folder / "model.safetensors").read_bytes())
    calibration.save(calibration.beside(copy), np.zeros((4, 16, 16, 3), np.uint8))
    assert main(["export", str(copy), "--target", "tflite-int8"]) == 2
    assert "resolution 32" in capsys.readouterr().err


def test_a_layer_that_cannot_be_lowered_leaves_the_old_file(run_folder, here, capsys, monkeypatch):
    import sapool.export

    old = Path("model.tflite")
    old.write_bytes(b"old")

    def load(path):
        loaded = checkpoint.Checkpoint(torch.nn.Sequential(torch.nn.GELU()), SPEC, LABELS, {})
        return loaded

    monkeypatch.setattr("sapool.checkpoint.load", load)
    assert main(["export", str(run_folder / "model.safetensors"), "--target", "tflite-int8"]) == 3
    err = capsys.readouterr().err
    assert "GELU cannot be exported" in err
    assert "0:" in err
    assert old.read_bytes() == b"old"
    assert sapool.export is not None


@pytest.mark.parametrize("target", ["tflite-int8", "tflm-c"])
def test_a_weight_that_is_no_number_leaves_nothing(run_folder, here, capsys, target):
    net = models.build(SPEC)
    with torch.no_grad():
        net.get_submodule("stages.1").get_parameter(next(iter(dict(net.stages[1].named_parameters())))).fill_(
            float("nan")
        )
    checkpoint.save(here / "nan.safetensors", net, SPEC, labels=LABELS)
    calibration.beside(here / "nan.safetensors").write_bytes(calibration.beside(run_folder / "x").read_bytes())
    assert main(["export", "nan.safetensors", "--target", target]) == 3
    err = capsys.readouterr().err
    assert "stages.1" in err
    assert "NaN" in err
    assert sorted(path.name for path in here.iterdir()) == ["calibration.npy", "nan.safetensors"]


def test_a_checkpoint_of_a_newer_version_leaves_nothing(run_folder, here, capsys, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    checkpoint.save(here / "new.safetensors", models.build(SPEC), SPEC, labels=LABELS)
    monkeypatch.undo()
    assert main(["export", str(here / "new.safetensors"), "--target", "tflm-c"]) == 3
    assert "newer sapool" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["new.safetensors"]


def test_images_that_are_all_alike_are_a_warning(run_folder, here, capsys):
    copy = here / "model.safetensors"
    copy.write_bytes((run_folder / "model.safetensors").read_bytes())
    calibration.save(calibration.beside(copy), np.full((4, 32, 32, 3), 128, np.uint8))
    assert main(["export", str(copy), "--target", "tflite-int8", "--verify", "1"]) == 0
    err = capsys.readouterr().err
    assert "warning: the input: 3 of 3 channels never moved" in err
    assert err.count("warning:") == 4
    assert "more of this kind" in err


@pytest.mark.slow
def test_a_killed_export_leaves_no_half_written_file(run_folder, here):
    target = here / "model.tflite"
    command = [
        sys.executable, "-m", "sapool.cli", "export", str(run_folder / "model.safetensors"),
        "--target", "tflite-int8", "--verify", "0", "-o", str(target),
    ]  # fmt: skip
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    whole, duration = target.read_bytes(), time.perf_counter() - started
    target.unlink()
    for share in (0.5, 0.8, 0.9, 0.97, 1.0):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(duration * share)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not target.exists() or target.read_bytes() == whole
