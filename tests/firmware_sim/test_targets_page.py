"""docs/targets.md is what its command writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.tools import tool as load

from firmware_sim import targets

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    return load("targets_page")


def test_the_page_is_up_to_date(tool):
    assert tool.PAGE == ROOT / "docs" / "targets.md"
    assert tool.PAGE.read_text("utf-8") == tool.page(), "run: python tools/targets_page.py"


def test_every_board_has_its_regions_and_their_sources(tool):
    text = tool.page()
    for target in targets.all():
        assert f"[{target.id}](#{target.id})" in text
        part = text.partition(f"### {target.id}\n")[2].partition("\n### ")[0]
        for region in target.regions:
            (row,) = [line for line in part.splitlines() if line.startswith(f"| {region.name} |")]
            assert f"{region.size_bytes:,}" in row
            assert row.count("](https://github.com/") == len(region.source.split("; "))
        assert all(note in part for note in target.notes)
    # The cells of a table are as many as its head has, whatever a source's remark says.
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_links_are_to_files_at_a_commit(tool):
    for address in re.findall(r"\]\((https://[^)]+)\)", tool.page()):
        assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+/blob/[0-9a-f]{10}/[\w./+-]+", address)
