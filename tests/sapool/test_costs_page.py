"""docs/costs.md and its CSV are what their command writes."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from support.tools import tool as load

pytest.importorskip("torch", reason="networks are priced with torch")

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 8


@pytest.fixture(scope="module")
def tool():
    return load("costs_page")


@pytest.fixture(scope="module")
def stored(tool) -> list[dict[str, str]]:
    with tool.TABLE.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_page_shows_the_stored_rows(tool, stored):
    assert tool.PAGE.read_text("utf-8") == tool.page(stored), "run: python tools/costs_page.py"
    found = [(int(row["resolution"]), row["plan"], row["placement"], row["method"]) for row in stored]
    assert found == list(tool.networks())


def test_the_stored_rows_are_what_the_code_computes(tool, stored):
    for row in random.Random(0).sample(stored, SAMPLES):
        key = (row["resolution"], row["plan"], row["placement"])
        (plain,) = [other for other in stored if (other["resolution"], other["plan"], other["placement"]) == key
                    and other["method"] == tool.PLAIN]  # fmt: skip
        arguments = (int(row["resolution"]), row["plan"], row["placement"], row["method"])
        against = None if row["method"] == tool.PLAIN else plain
        assert tool.row(*arguments, against) == row, "run: python tools/costs_page.py"


def test_it_says_where_a_method_costs_memory_and_what_has_no_price(stored):
    assert any(row["arena_against_strided_bytes"].startswith("-") for row in stored)
    assert any(int(row["arena_against_strided_bytes"] or 0) > 0 for row in stored)
    for row in stored:
        assert bool(row["reason"]) != bool(row["arena_bytes"])
