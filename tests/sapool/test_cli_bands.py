"""`sapool shrink --bands`, and docs/bands.md."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.band_nets import Layer, network

from firmware_sim import memreport, read
from firmware_sim.report.bands import formats
from firmware_sim.rewrite.draft import finish, open_draft
from sapool.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "bands.md").read_text("utf-8")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "a net.tflite"
    layers = [Layer("conv", 3, 2, 8), Layer("conv", 1, 1, 32), Layer("dw", 3, 2), Layer("conv", 1, 1, 8)]
    path.write_bytes(network(layers, height=32, width=32))
    return path


@pytest.mark.oracle
@pytest.mark.parametrize("form", ["explicit", "views", "loop"])
def test_writes_a_model_in_bands(form: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tflite_micro")
    small, report = tmp_path / "small.tflite", tmp_path / "report.json"
    arguments = ["shrink", str(model), "-o", str(small), "--bands", "--max-extra-macs", "40%", "--kernels", "reference"]
    arguments += ["--form", form]
    assert main([*arguments, "--format", "json", "--report", str(report)]) == 0
    data = json.loads(report.read_text("utf-8"))
    assert data["form"] == form
    assert data["tensors_compared"]["compared"] > 0
    assert data["shrink"]["proof"]["inputs"] == 100
    arena = memreport(read(small)).arena
    assert arena.total_bytes == data["shrink"]["after"]["total_bytes"] < data["shrink"]["before"]["total_bytes"]
    assert arena.minimum_bytes == data["minimum_bytes"]
    draft = open_draft(small.read_bytes())
    small.write_bytes(finish(replace(draft, offsets=tuple({} for _ in draft.graphs))))
    capsys.readouterr()
    assert main(["memreport", str(small)]) == 0
    assert ("WRONG OUTPUTS" in capsys.readouterr().out) == (form != "explicit")


@pytest.mark.parametrize(
    "options",
    [
        ["--max-extra-macs", "20%"],
        ["--arena", "32KiB"],
        ["--format", "flow"],
        ["--bands", "--no-overlap"],
        ["--bands", "--max-extra-macs", "much"],
        ["--bands", "--max-extra-macs", "-1%"],
        ["--bands", "--arena", "small"],
    ],
)
def test_options_that_do_not_go_together(model: Path, options: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["shrink", str(model), *options]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_page_names_options_and_files_that_exist():
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert (ROOT / "docs" / link).is_file(), link
    row = next(line for line in TEXT.splitlines() if line.startswith("| `--format`"))
    assert set(re.findall(r"`([a-z]+)`", row)) >= set(formats()) - {"json"}
