"""The example of a foreign network with a layer of sapool."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "sklearn")):
    pytest.skip("needs torch and scikit-learn", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "drop_in" / "lenet.py"
    spec = importlib.util.spec_from_file_location("drop_in_lenet", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.oracle
def test_it_trains_and_its_file_runs_in_tflm_as_predicted(example, tmp_path, capsys):
    path = tmp_path / "model.tflite"
    assert example.main(["--epochs", "6", "--output", str(path)]) == 0
    output = capsys.readouterr().out
    accuracies = dict(re.findall(r"^(\S+): ([\d.]+)% of 540 test images$", output, re.MULTILINE))
    assert set(accuracies) == {"nn.MaxPool2d", "self_attentive"}
    assert all(float(value) > 80 for value in accuracies.values())
    if importlib.util.find_spec("tflite_micro") is None:
        pytest.skip("needs tflite-micro")
    from firmware_sim.run.tflm import Tflm

    content = path.read_bytes()
    size, arena = re.search(r"^int8: ([\d,]+) bytes, arena ([\d,]+) bytes", output, re.MULTILINE).groups()
    assert int(size.replace(",", "")) == len(content)
    assert int(arena.replace(",", "")) == Tflm(content).arena.total_bytes


def test_what_cannot_be_exported_is_said(example, capsys):
    # After training: rnnpool has no integer form.
    assert example.main(["--pooling", "rnnpool", "--epochs", "0"]) == 3
    assert "rnnpool" in capsys.readouterr().err.lower()
