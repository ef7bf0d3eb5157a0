"""docs/memory-report.md: its commands make its picture, and what it lists is what there is."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from support.pages import blocks, run_first_program
from support.tflite_files import small_network, tflite

from firmware_sim import profiles, targets
from firmware_sim.report import formats
from sapool.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "memory-report.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra export")
def test_the_commands_make_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_first_program(TEXT, "make_small.py", tmp_path) == 0
    picture = (tmp_path / "memory-report.svg").read_text("utf-8")
    assert picture == (ROOT / "docs" / "memory-report.svg").read_text("utf-8")
    assert "peak: layer 4 DEPTHWISE_CONV_2D" in picture


def test_all_profiles_and_formats_are_listed():
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert rows == [*profiles.names(), *formats()]


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link


def test_the_boards_are_counted_and_the_example_is_one(tmp_path):
    assert f"lists {len(targets.ids())} boards" in TEXT
    (example,) = blocks(TEXT, "json")
    path = tmp_path / "board.json"
    path.write_text(example, "utf-8")
    (board,) = targets.load(path)
    assert board.arena_block_bytes == 128 * 1024


def test_the_commands_for_boards_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.tflite").write_bytes(tflite(small_network()))
    (lines,) = [block.splitlines() for block in blocks(TEXT, "sh") if "--target-file" in block]
    for line in lines:
        assert main(shlex.split(line)[1:]) == 0, line


def test_the_commands_of_comparisons_are_those_of_the_tool(capsys):
    assert main(["memreport", "--help"]) == 0
    help_ = capsys.readouterr().out
    (lines,) = [block.splitlines() for block in blocks(TEXT, "sh") if "--diff" in block]
    for line in lines:
        for option in re.findall(r"--\w+", line):
            assert option in help_
