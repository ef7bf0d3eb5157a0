"""docs/accuracy.md is what its command writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tools import tool as load

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    return load("accuracy_page")


def test_the_page_shows_the_stored_tables(tool):
    assert tool.PAGE.read_text("utf-8") == tool.page(tool.RESULTS), "run: python tools/accuracy_page.py"


def test_a_table_that_is_missing_leaves_its_section_out(tool, tmp_path):
    assert "##" not in tool.page(tmp_path)
