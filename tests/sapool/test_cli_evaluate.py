"""`sapool evaluate`: one number from each kind of file, and where it comes from."""

from __future__ import annotations

import json
import shutil

import pytest
from support import pictures

from sapool.cli.main import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with pictures, a checkpoint, and what is exported from it."""
    root = tmp_path_factory.mktemp("trained")
    data = pictures.write(root / "data")
    line = [
        "--data",
        str(data),
        "--model",
        "mobilenet_v2-self_attentive-2221111",
        "--width",
        "0.1",
        "--split-seed",
        "2",
    ]
    recipe = ["--epochs", "6", "--batch-size", "8", "--accelerator", "cpu"]
    assert main(["train", *line, *recipe, "-o", str(root)]) == 0
    model = ["export", str(root / "model.safetensors"), "--target", "tflite-int8", "-o", str(root / "model.tflite")]
    assert main(model) == 0
    return root


def evaluated(capsys, *line):
    capsys.readouterr()
    assert main(["evaluate", *map(str, line), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_kind_of_file(trained, capsys):
    data = trained / "data"
    reports = {
        name: evaluated(capsys, trained / name, "--data", data) for name in ("model.safetensors", "model.tflite")
    }
    reports["tflm"] = evaluated(capsys, trained / "model.tflite", "--data", data, "--runtime", "tflm")
    assert {report["data"] for report in reports.values()} == {f"20% of {data}, split off with seed 2"}
    assert all(report["images"] == 6 for report in reports.values())
    assert reports["tflm"]["confusion"] == reports["model.tflite"]["confusion"]
    summary = json.loads((trained / "summary.json").read_text())
    assert reports["model.safetensors"]["accuracy"] == summary["test_accuracy"]


def test_text_names_the_data(trained, capsys):
    capsys.readouterr()
    assert (
        main(["evaluate", str(trained / "model.safetensors"), "--data", str(trained / "data"), "--split", "val"]) == 0
    )
    out = capsys.readouterr().out
    assert "data      10% of" in out
    assert "95% interval" in out


def test_a_report_in_a_file(trained, tmp_path, capsys):
    path = tmp_path / "report.json"
    line = ["evaluate", str(trained / "model.tflite"), "--data", str(trained / "data"), "--format", "json"]
    capsys.readouterr()
    assert main([*line, "--output", str(path)]) == 0
    assert json.loads(path.read_text())["runtime"] == "LiteRT reference kernels, int8"
    assert capsys.readouterr().out == ""


def test_another_split_seed_is_warned_about(trained, capsys):
    line = ["evaluate", str(trained / "model.safetensors"), "--data", str(trained / "data"), "--split-seed", "9"]
    assert main(line) == 0
    assert "may be ones that it was trained on" in capsys.readouterr().err


def test_two_files_are_compared_on_the_same_images(trained, capsys):
    files = [trained / "model.safetensors", trained / "model.tflite"]
    report = evaluated(capsys, "--compare", *files, "--data", trained / "data")
    assert report["schema"] == "sapool.comparison/1"
    assert [report[side]["model"] for side in ("first", "second")] == [str(path) for path in files]
    assert [report[side]["runtime"] for side in ("first", "second")] == [
        "torch, float32",
        "LiteRT reference kernels, int8",
    ]
    assert report["data"] == f"20% of {trained / 'data'}, split off with seed 2"
    assert not report["significant"]
    assert report["p_value"] == 1 or report["only_first_correct"] + report["only_second_correct"] > 0


def test_the_confusion_matrix_as_a_picture(trained, tmp_path, capsys):
    picture = tmp_path / "confusion.png"
    evaluated(capsys, trained / "model.safetensors", "--data", trained / "data", "--confusion", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "give one MODEL, or two"),
        (["model.tflite", "--compare", "model.tflite", "model.tflite"], "give one MODEL, or two"),
        (["--compare", "model.tflite", "model.tflite", "--confusion", "x.png"], "of one MODEL"),
    ],
)
def test_one_model_or_two(trained, capsys, monkeypatch, files, message):
    monkeypatch.chdir(trained)
    assert main(["evaluate", *files, "--data", "data"]) == 2
    assert message in capsys.readouterr().err


def test_a_test_part_alone_is_enough(trained, tmp_path, capsys):
    shutil.copytree(trained / "data", tmp_path / "new" / "test")
    report = evaluated(capsys, trained / "model.safetensors", "--data", tmp_path / "new")
    assert report["data"] == f"the test part of {tmp_path / 'new'}"
    assert report["images"] == 36


def test_other_classes_are_refused(trained, tmp_path, capsys):
    shutil.copytree(trained / "data", tmp_path / "more")
    shutil.copytree(trained / "data" / "red", tmp_path / "more" / "yellow")
    assert main(["evaluate", str(trained / "model.safetensors"), "--data", str(tmp_path / "more")]) == 2
    assert "tells 3 classes apart, the data has 4" in capsys.readouterr().err
    (tmp_path / "more" / "green").rename(tmp_path / "spare")
    assert main(["evaluate", str(trained / "model.tflite"), "--data", str(tmp_path / "more")]) == 2
    assert "'green' where the data has 'red'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "code", "message"),
    [
        ("nowhere.tflite", [], 3, "no such file"),
        ("data", [], 3, "not a network of a known kind"),
        ("model.safetensors", ["--runtime", "litert"], 2, "litert does not run .safetensors files"),
        ("model.tflite", ["--split", "exam"], 2, "exam"),
    ],
)
def test_mistakes(trained, capsys, name, options, code, message):
    assert main(["evaluate", str(trained / name), "--data", str(trained / "data"), *options]) == code
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
