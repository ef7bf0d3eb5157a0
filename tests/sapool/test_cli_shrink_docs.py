"""docs/shrink.md: its commands make its picture, and what it lists is what there is."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_sim.overlap.rules import kernel_classes
from firmware_sim.rewrite.shrink import PASSES
from sapool.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "shrink.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs the extra export")
def test_the_commands_make_the_picture(tmp_path, monkeypatch):
    (program,) = blocks("python")
    make, shrink = blocks("sh")[0].splitlines()
    assert make == "python make_net.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, timeout=300, check=True)
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(shrink)[1:]) == 0
    assert (tmp_path / "shrink.svg").read_text("utf-8") == (ROOT / "docs" / "shrink.svg").read_text("utf-8")


def test_all_passes_and_kernels_are_listed():
    rows = re.findall(r"^\| `([a-z][a-z0-9-]+)` \|", TEXT, re.MULTILINE)
    assert rows == [*PASSES, *kernel_classes()]
    assert re.findall(r"`--no-([a-z-]+)` \|$", TEXT, re.MULTILINE) == list(PASSES)


def test_links_lead_somewhere():
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / link).is_file(), link
