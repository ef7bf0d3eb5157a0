"""docs/export-comparison.md is what the benchmark measured, and shows where the export loses."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "export-comparison.md").read_text("utf-8")
with (ROOT / "benchmarks" / "results" / "export-comparison.csv").open(encoding="utf-8") as stream:
    ROWS = list(csv.DictReader(stream))
SECTIONS = {part.split("`")[1]: part for part in TEXT.split("\n## `")[1:] for part in [f"`{part}"]}


def test_every_network_has_a_section():
    assert list(SECTIONS) == list(dict.fromkeys(row["network"] for row in ROWS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['network']} {row['converter']}")
def test_a_line_holds_the_measured_figures(row):
    lines = re.findall(rf"^\| {row['converter']} \|.*$", SECTIONS[row["network"]], re.MULTILINE)
    if row["problem"]:
        assert "no file" in lines[0]
        return
    arena = "refused" if row["refused"] else f"{int(row['arena_bytes']):,}"
    assert lines[0].startswith(
        f"| {row['converter']} | {float(row['int8_accuracy']):.2%} | {row['operators']} | {arena} |"
    )


@pytest.mark.parametrize("row", [row for row in ROWS if row["converter"] != "sapool" and not row["problem"]], ids=str)
def test_what_loses_is_marked(row):
    (own,) = (other for other in ROWS if other["network"] == row["network"] and other["converter"] == "sapool")
    line = re.findall(rf"^\| {row['converter']} \| (.*) \|$", SECTIONS[row["network"]], re.MULTILINE)[1]
    cells = line.split(" | ")
    accuracy, operators, arena, time = (not cell.startswith("**no**") for cell in cells)
    ahead = 100 * (float(own["int8_accuracy"]) - float(row["int8_accuracy"]))
    assert accuracy == (ahead >= -float(row["chance"]))
    assert cells[0].startswith("yes") == (ahead >= 0)
    assert operators == (int(own["operators"]) <= int(row["operators"]))
    assert arena == (bool(row["refused"]) or int(own["arena_bytes"]) <= int(row["arena_bytes"]))
    assert time == (5 * float(own["conversion_cpu_s"]) <= float(row["conversion_cpu_s"]))
