"""`sapool train`: files, messages and exit codes."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import pictures

from sapool import calibration, checkpoint
from sapool.cli.main import main
from sapool.training import FitConfig

ROOT = Path(__file__).parents[2]
SPEC = "mobilenet_v2-average-2221111"
QUICK = ["--width", "0.1", "--epochs", "1", "--batch-size", "8", "--accelerator", "cpu"]


@pytest.fixture
def folder(tmp_path):
    return pictures.write(tmp_path / "data")


def test_a_folder_becomes_a_checkpoint(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", str(folder), "--model", SPEC, *QUICK, "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert sorted(os.listdir("run")) == [
        "calibration.npy", "confusion.png", "curves.png", "last.ckpt", "metrics.csv", "model.safetensors", "summary.json",
    ]  # fmt: skip
    assert sorted(os.listdir()) == ["data", "run"]
    loaded = checkpoint.load("run/model.safetensors")
    assert loaded.labels == pictures.CLASSES
    assert (loaded.spec.classes, loaded.spec.width, loaded.spec.resolution) == (3, 0.1, 32)
    assert loaded.header["recipe"]["seed"] == 3
    assert loaded.header["recipe"].keys() == {field.name for field in dataclasses.fields(FitConfig)}
    assert loaded.header["split_seed"] == 0
    assert calibration.load("run/calibration.npy").shape == (27, 32, 32, 3)
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["schema"] == "sapool.train/1"
    assert summary["data"]["test"] == {
        "images": 6,
        "origin": f"20% of {folder}, split off with seed 0",
        "classes": {"blue": 2, "green": 2, "red": 2},
    }
    assert summary["test"]["accuracy"] == summary["test_accuracy"]
    with open("run/metrics.csv") as stream:
        assert len(list(csv.DictReader(stream))) == 1
    assert f"{summary['test_accuracy']:.2%}" in out
    assert "images/s" in err
    assert "wrote run/model.safetensors" in err


def test_the_resolution_of_the_specification_is_that_of_the_images(folder, tmp_path):
    run = tmp_path / "out"
    code = main(["train", "--data", str(folder), "--model", SPEC, *QUICK, "--resolution", "16", "-o", str(run)])
    assert code == 0
    assert checkpoint.load(run / "model.safetensors").spec.resolution == 16


def test_broken_images_are_refused_or_skipped(folder, tmp_path, capsys):
    (folder / "red" / "broken.png").write_bytes(b"not a picture")
    line = ["train", "--data", str(folder), "--model", SPEC, *QUICK, "-o", str(tmp_path / "run")]
    assert main(line) == 3
    assert "red/broken.png: does not decode" in capsys.readouterr().err
    assert main([*line, "--skip-broken"]) == 0
    err = capsys.readouterr().err
    assert "skipped 1 images" in err
    assert "red/broken.png" in err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--model", "mobilenet_v9"], 2, "mobilenet_v9"),
        (["--model", "mobilenet_v2-average-4222121"], 2, "stage"),
        (["--model", SPEC, "--epochs", "0"], 2, "epochs is 0"),
        (["--model", SPEC, "--lr", "nan"], 2, "learning rate is nan"),
        (["--model", SPEC, "--recipe", "secret"], 2, "one of distill, finetune"),
        (["--model", SPEC, "--recipe", "distill"], 2, "--teacher"),
        (["--model", SPEC, "--recipe", "distill", "--teacher", "nobody.safetensors"], 3, "nobody.safetensors"),
        (["--model", SPEC, "--devices", "3"], 2, "a multiple of the 3 processes"),
        (["--model", SPEC, "--resolution", "0"], 2, "resolution 0"),
        (["--model", SPEC, "--data", "nowhere"], 3, "no such data set"),
        (["--model", SPEC, "--output", "data/red/000.png"], 2, "000.png"),
    ],
)
def test_mistakes_are_said_before_anything_is_trained(folder, monkeypatch, capsys, options, code, message):
    monkeypatch.chdir(folder.parent)
    assert main(["train", "--data", "data", *options]) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not any(path.is_file() for path in Path("run").glob("*"))


def test_a_data_set_without_classes(tmp_path, capsys):
    (tmp_path / "data").mkdir()
    assert main(["train", "--data", str(tmp_path / "data"), "--model", SPEC, "-o", str(tmp_path / "run")]) == 3
    assert "holds no images" in capsys.readouterr().err


# A job that a shell put into the background ignores SIGINT, and its children inherit that: this one listens.
_LISTENS = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from sapool.cli.main import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_training_leaves_the_old_files(folder, tmp_path, how):
    run = tmp_path / "run"
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"old")
    line = ["train", "--data", str(folder), "--model", SPEC, "--epochs", "100000", "--width", "0.1", "-o", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-c", _LISTENS, *line],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    with process:
        try:
            assert process.stderr is not None
            for text in process.stderr:
                if text.startswith("epoch"):
                    break
            time.sleep(0.1)
            process.send_signal(how)
            _, rest = process.communicate(timeout=60)
            code = process.returncode
        finally:
            process.kill()
    assert code == (130 if how == signal.SIGINT else -9)
    assert "Traceback" not in rest
    assert [name for name in os.listdir(run) if "last.ckpt" not in name] == ["model.safetensors"]
    assert (run / "model.safetensors").read_bytes() == b"old"


def test_calibration_images_are_training_images(folder, tmp_path):
    from sapool import data

    run = tmp_path / "run"
    assert main(["train", "--data", str(folder), "--model", SPEC, *QUICK, "--split-seed", "4", "-o", str(run)]) == 0
    known = {image.tobytes() for image in data.open(folder, seed=4).train.images}
    assert {image.tobytes() for image in np.asarray(calibration.load(run / "calibration.npy"))} <= known
