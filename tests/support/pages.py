"""Runs what a page of docs shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from sapool.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run_first_program(text: str, script: str, folder: Path) -> int:
    """Run a page's only Python program, which it calls `script`, in `folder`, then the command below it; its exit code.

    The command runs in this process: the caller makes `folder` the working directory.
    """
    (program,) = blocks(text, "python")
    make, command = blocks(text, "sh")[0].splitlines()
    assert make == f"python {script}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, timeout=300, check=True)
    return main(shlex.split(command)[1:])
