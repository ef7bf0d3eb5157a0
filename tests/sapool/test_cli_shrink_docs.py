"""docs/shrink.md: its commands make its picture, and what it lists is what there is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from support.pages import run_first_program

from firmware_sim.overlap.rules import kernel_classes
from firmware_sim.rewrite.shrink import PASSES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "shrink.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra export")
def test_the_commands_make_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_first_program(TEXT, "make_net.py", tmp_path) == 0
    assert (tmp_path / "shrink.svg").read_text("utf-8") == (ROOT / "docs" / "shrink.svg").read_text("utf-8")


def test_all_passes_and_kernels_are_listed():
    rows = re.findall(r"^\| `([a-z][a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert rows == [*PASSES, *kernel_classes()]
    assert re.findall(r"`--no-([a-z-]+)` \|$", TEXT, re.MULTILINE) == list(PASSES)


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert (ROOT / "docs" / link).is_file(), link
