"""The README's commands, run as they stand there."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = [block.strip().splitlines() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)]
COMMANDS = [[shlex.split(line, comments=True) for line in block if line.startswith("sapool ")] for block in BLOCKS]

pytestmark = pytest.mark.slow
needs_everything = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "lightning", "tflite_micro", "onnxruntime")),
    reason="needs the extras train, export and tflm",
)


def run(command, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(
        [sys.executable, "-m", "sapool.cli", *command[1:]],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stderr}"
    return done.stdout


def commands_with(word):
    (block,) = [block for block in COMMANDS if any(word in command for command in block)]
    return block


def test_the_two_commands_come_first_and_exist():
    assert BLOCKS[0] == [line for line in BLOCKS[0] if line.startswith("make ")]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in BLOCKS[0]:
        assert f"\n{line.split()[1]}: " in makefile


@needs_everything
def test_by_hand_on_the_digits(tmp_path):
    for command in commands_with("digits"):
        # Two epochs instead of twenty: what is tested is that the commands work, not how well the network learns.
        if "--epochs" in command:
            command[command.index("--epochs") + 1] = "2"
        run(command, tmp_path)
    assert {"run", "model.tflite", "model.onnx"} <= {path.name for path in tmp_path.iterdir()}


@needs_everything
def test_by_hand_on_images_in_an_archive(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "images.tar.xz", "w:xz") as archive:
        for label, level in (("dark", 60), ("light", 190)):
            for number in range(30):
                pixels = np.clip(rng.normal(level, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                stream = io.BytesIO()
                Image.fromarray(pixels).save(stream, "JPEG")
                entry = tarfile.TarInfo(f"{label}/{number}.jpg")
                entry.size = stream.tell()
                stream.seek(0)
                archive.addfile(entry, stream)
    outputs = [run(command, tmp_path) for command in commands_with("images.tar.xz")]
    assert "accuracy" in outputs[-1]


def test_the_budget_in_the_readme_is_accepted(tmp_path):
    from firmware_sim import budget

    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "sapool.toml"
    path.write_text(text, "utf-8")
    (loaded,) = budget.load(path).budgets
    assert loaded.name == "digits"


@needs_everything
def test_prices_and_boards():
    for command in commands_with("targets"):
        assert run(command, ROOT)
