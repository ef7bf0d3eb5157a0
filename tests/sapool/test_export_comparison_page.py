"""docs/export-comparison.md is what the benchmark measured, and shows where the export loses."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from statistics import fmean

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "export-comparison.md").read_text("utf-8")
with (ROOT / "benchmarks" / "results" / "export-comparison.csv").open(encoding="utf-8") as stream:
    ROWS = list(csv.DictReader(stream))
SECTIONS = {part.split("`")[0]: part.split("\n## ")[0] for part in TEXT.split("\n## `")[1:]}
NETWORKS = list(dict.fromkeys(row["network"] for row in ROWS))
PAIRS = [(network, name) for network in NETWORKS for name in dict.fromkeys(row["converter"] for row in ROWS)]


def trainings(network, converter):
    """The rows of one line of the page."""
    return [row for row in ROWS if (row["network"], row["converter"]) == (network, converter)]


def mean(rows, column):
    return fmean(float(row[column]) for row in rows)


def lines(network, converter):
    """What was measured, and the verdict of a converter that is not sapool."""
    return re.findall(rf"^\| {converter} \| (.*) \|$", SECTIONS[network], re.MULTILINE)


def test_every_network_has_a_section():
    assert list(SECTIONS) == NETWORKS


def test_every_network_was_trained_with_three_seeds():
    for pair in PAIRS:
        assert sorted(row["seed"] for row in trainings(*pair)) == ["0", "1", "2"]


@pytest.mark.parametrize(("network", "converter"), PAIRS)
def test_a_line_holds_the_measured_figures(network, converter):
    rows = trainings(network, converter)
    line = lines(network, converter)[0]
    if any(row["problem"] for row in rows):
        assert "no file" in line
        return
    arena = "refused" if any(row["refused"] for row in rows) else f"{max(int(row['arena_bytes']) for row in rows):,}"
    operators = max(int(row["operators"]) for row in rows)
    shares = [f"{mean(rows, name):.2%}" for name in ("int8_accuracy", "agreement")]
    assert line.startswith(f"{shares[0]} | {shares[1]} | {operators} | {arena} |")


@pytest.mark.parametrize(("network", "converter"), [pair for pair in PAIRS if pair[1] != "sapool"])
def test_what_loses_is_marked(network, converter):
    own, rows = trainings(network, "sapool"), trainings(network, converter)
    if any(row["problem"] for row in rows):
        assert len(lines(network, converter)) == 1
        return
    cells = lines(network, converter)[1].split(" | ")
    for cell, share, name in ((cells[0], "int8_accuracy", "accuracy"), (cells[1], "agreement", "agreement")):
        ahead = 100 * (mean(own, share) - mean(rows, share))
        chance = math.hypot(*(float(row[f"{name}_chance"]) for row in rows)) / len(rows)
        assert float(cell.split(",")[1].split()[0]) == pytest.approx(ahead, abs=0.006)
        assert cell.startswith("**no**") == (ahead < -chance)
        assert cell.startswith("yes") == (ahead >= 0)
    operators, arena, time = (not cell.startswith("**no**") for cell in cells[2:])
    pairs = list(zip(own, rows, strict=True))
    assert operators == all(int(one["operators"]) <= int(other["operators"]) for one, other in pairs)
    refused = any(row["refused"] for row in rows)
    assert arena == (refused or all(int(one["arena_bytes"]) <= int(other["arena_bytes"]) for one, other in pairs))
    assert time == (5 * mean(own, "conversion_cpu_s") <= mean(rows, "conversion_cpu_s"))
