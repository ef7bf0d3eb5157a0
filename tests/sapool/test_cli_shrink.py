"""`sapool shrink`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.tflite_files import Graph, Op, T, doubling_convolution, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.overlap import rules
from firmware_sim.rewrite import shrink as library
from sapool.cli import shrink as command
from sapool.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "ein Modell größer.tflite"
    path.write_bytes(doubling_convolution())
    return path


def test_writes_a_smaller_model(model, tmp_path, capsys):
    pytest.importorskip("tflite_micro")
    small = tmp_path / "small.tflite"
    assert main(["shrink", str(model), "-o", str(small), "--kernels", "reference", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert f"wrote {small}" in err
    assert report["proof"]["inputs"] == 100
    assert report["proof"]["head_bytes"] == report["after"]["head_bytes"] == memreport(read(small)).arena.head_bytes
    assert report["after"]["head_bytes"] < report["before"]["head_bytes"] == 13_824
    assert report["safe_with"] == ["reference"]


def test_a_file_takes_100_inputs_and_a_report_fewer(model, tmp_path, capsys):
    pytest.importorskip("tflite_micro")
    arguments = ["shrink", str(model), "--kernels", "reference", "--inputs", "4"]
    assert main([*arguments, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["proof"]["inputs"] == 4
    assert main([*arguments, "-o", str(tmp_path / "small.tflite")]) == 2
    assert "4 inputs are not enough" in capsys.readouterr().err
    assert not (tmp_path / "small.tflite").exists()


def test_a_target_decides_on_the_kernels(model, capsys):
    assert main(["shrink", str(model), "--target", "stm32f746"]) == 0
    out = capsys.readouterr().out
    assert "cmsis-nn-dsp" in out
    assert "nothing to gain" in out


def test_without_kernels_the_plan_holds_for_all(model, capsys):
    assert main(["shrink", str(model)]) == 0
    assert "safe with reference, cmsis-nn, cmsis-nn-dsp, cmsis-nn-mve" in capsys.readouterr().out


def test_passes_are_switched_off(model, capsys):
    arguments = ["shrink", str(model), "--kernels", "reference", "--format", "json"]
    assert main([*arguments, "--no-overlap"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is False


def test_the_report_goes_to_a_file_and_the_model_nowhere(model, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(["shrink", str(model), "--kernels", "reference", "--format", "html", "--report", str(page)]) == 0
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([model.name, page.name])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("bad", [b"", b"no model at all", doubling_convolution()[:200]])
def test_bad_files_are_code_3_and_write_nothing(bad: bytes, tmp_path, capsys):
    path, small = tmp_path / "bad.tflite", tmp_path / "small.tflite"
    path.write_bytes(bad)
    assert main(["shrink", str(path), "-o", str(small)]) == 3
    assert capsys.readouterr().err.startswith(f"error: {path}")
    assert not small.exists()


def test_a_missing_file_and_a_refused_model_are_code_3(tmp_path, capsys):
    assert main(["shrink", str(tmp_path / "none.tflite")]) == 3
    graph = Graph([T([1, 4]), T([-1, 4])], [Op("ABS", [0], [1])], inputs=[0], outputs=[1])
    path = tmp_path / "open.tflite"
    path.write_bytes(tflite(graph))
    assert main(["shrink", str(path)]) == 3
    assert "sizes that are not known" in capsys.readouterr().err


def test_usage(model, capsys):
    assert main(["shrink", str(model), "--kernels", "esp-nn"]) == 2
    assert main(["shrink", str(model), "--target", "toaster"]) == 2
    assert main(["shrink", str(model), "--target", "nrf52840", "--kernels", "reference"]) == 2
    assert "has other kernels than reference" in capsys.readouterr().err


def test_options_are_those_of_the_library():
    assert list(command._PASSES) == list(library.PASSES)
    assert list(command._KERNELS) == list(rules.kernel_classes())


def test_a_wrong_rewriting_is_never_written(model, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tflite_micro")
    small = tmp_path / "small.tflite"
    genuine = library.shrink

    def wrong(*arguments, **options):
        from dataclasses import replace

        from firmware_sim.rewrite.draft import finish, open_draft

        shrunk = genuine(*arguments, **options)
        bad = finish(replace(open_draft(doubling_convolution()), offsets=({0: 2_000, 3: 0},)))
        return replace(shrunk, content=bad)

    monkeypatch.setattr(library, "shrink", wrong)
    assert main(["shrink", str(model), "-o", str(small), "--kernels", "reference"]) == 4
    assert "the rewritten model is wrong" in capsys.readouterr().err
    assert not small.exists()


def test_says_that_tflm_is_missing(model, tmp_path):
    (tmp_path / "tflite_micro.py").write_text("raise ImportError('not here')\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "sapool.cli", "shrink", str(model), "--kernels", "reference"],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0
    assert "not run in TFLM: TFLM is not installed (pip install 'sapool[tflm]')" in done.stdout


def test_a_network_of_many_operators(tmp_path, capsys):
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite(small_network()))
    assert main(["shrink", str(path), "--kernels", "cmsis-nn-mve"]) == 0
    assert "cortex-m-cmsis-nn-mve" in capsys.readouterr().out
