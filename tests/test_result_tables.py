"""Tables of figures in README.md and docs/networks.md are those of the CSV files that their commands write."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite
from support.tools import tool as load

from firmware_sim import read

ROOT = Path(__file__).resolve().parents[1]
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra export")


@pytest.fixture(scope="module")
def headline():
    return load("headline")


def test_the_readme_shows_the_stored_rows(headline):
    rows = headline.stored()
    page = headline.README.read_text("utf-8")
    assert headline.placed(page, rows) == page, "run: python tools/headline.py"
    assert len(rows) >= 10
    assert all(len(line.split("|")) == 9 for line in headline.table(rows).splitlines() if line.startswith("|"))


def test_rows_are_consistent(headline):
    for row in headline.stored():
        assert int(row["bands"]) <= int(row["shrink"]) <= int(row["stock"]), row["model"]
        assert bool(row["no_bands"]) == (row["bands"] == row["shrink"]), row["model"]
        assert row["no_bands"] or float(row["extra_macs"]) <= 0.1, row["model"]


def test_models_that_lose_are_shown_with_the_reason(headline):
    row = {
        "model": "a/b_c.tflite", "input": "int8", "stock": "1000", "shrink": "900", "bands": "900", "extra_macs": "0.0",
        "no_bands": "why not",
    }  # fmt: skip
    assert "| a/b c | int8 | 1,000 | 900 | 900 | 90% | no bands |" in headline.table([row])
    assert "- a/b c (int8): why not" in headline.table([row])


def test_the_rule(headline):
    def copied(shape, type="INT8"):
        return read(tflite(Graph([T(shape, type), T(shape, type)], [Op("ABS", [0], [1])], inputs=[0], outputs=[1])))

    assert headline.is_shown("int8", copied([1, 192, 192, 3]))
    assert not headline.is_shown("int16", copied([1, 192, 192, 3]))
    assert not headline.is_shown("int8", copied([1, 192, 192, 2]))
    assert not headline.is_shown("int8", copied([1, 16, 4096, 1]))
    assert not headline.is_shown("int8", copied([1, 100_000]))
    assert not headline.is_shown("int8", read(tflite(small_network())))


@needs_torch
def test_the_page_of_networks_shows_the_stored_prices():
    tool = load("preset_plans")
    rows = tool.stored()
    page = tool.PAGE.read_text("utf-8")
    assert tool.placed(page, rows) == page, "run: python tools/preset_plans.py"
    assert {row["preset"] for row in rows} == {"nano", "tiny", "small", "medium"}
    # All of one preset, whose bands take little time to look for.
    for row in (row for row in rows if row["preset"] == "nano"):
        target = row["profile"] if row["kernels"] != "any" else None
        now = tool.row("nano", row["profile"], target)
        assert {**now, "cpu_s": ""} == {**row, "cpu_s": ""}


def test_decisions_quote_the_stored_prices():
    tool_table = (ROOT / "benchmarks" / "results" / "preset-plans.csv").read_text("utf-8")
    text = (ROOT / "docs" / "decisions" / "0105-presets-without-bands.md").read_text("utf-8")
    for figure in re.findall(r"\b(\d{2,3},\d{3})\b", text):
        assert figure.replace(",", "") in tool_table or figure == "49,152", figure  # the image: 128 x 128 x 3
