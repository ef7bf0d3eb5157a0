"""docs/accuracy.md is what its command writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("accuracy_page", ROOT / "tools" / "accuracy_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_stored_tables(tool):
    assert tool.PAGE.read_text("utf-8") == tool.page(tool.RESULTS), "run: python tools/accuracy_page.py"


def test_a_table_that_is_missing_leaves_its_section_out(tool, tmp_path):
    assert "##" not in tool.page(tmp_path)
