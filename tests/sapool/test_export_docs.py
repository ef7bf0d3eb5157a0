"""docs/export.md: its options exist, and its table is the measured file."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from statistics import fmean

import click

from sapool.cli.export import command
from sapool.cli.export_options import METHODS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "export.md").read_text("utf-8")


def test_every_option_exists():
    known = {name for option in command.params if isinstance(option, click.Option) for name in option.opts}
    named = set(re.findall(r"--[a-z][a-z-]+", TEXT))
    assert named <= known
    assert named >= {"--compare", "--compare-images", "--compare-output", "--calibration-method", "--equalise"}
    assert set(re.findall(r"--calibration-method (\w+)", TEXT)) == set(METHODS)


def test_the_table_is_the_file():
    with (ROOT / "benchmarks" / "results" / "calibration.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    (header,) = re.findall(r"\| logit error (.*)\|", TEXT)
    networks = re.findall(r"`([^`]+)`", header)
    assert sorted(networks) == sorted({row["network"] for row in rows})
    for method in METHODS:
        for words, corrected in ((method, "False"), (f"{method}, biases corrected", "True")):
            (line,) = re.findall(rf"^\| {words} \|(.*)\|$", TEXT, re.MULTILINE)
            for network, cell in zip(networks, line.split("|"), strict=True):
                key = (network, method, corrected, "False")
                chosen = [
                    float(row["logit_error"])
                    for row in rows
                    if (row["network"], row["method"], row["bias_correction"], row["equalisation"]) == key
                ]
                assert len(chosen) == 3
                assert cell.strip() == f"{fmean(chosen):.4f}"
