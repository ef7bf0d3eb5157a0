"""The command `sapool` of this checkout as a program, for tests that run shell scripts."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def install(folder: Path) -> Path:
    """Write the program into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "sapool"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sapool.cli "$@"\n')
    program.chmod(0o755)
    return program


def environment(programs: Path | None = None, **more: str) -> dict[str, str]:
    """The variables of this process without those of a CI service, with this checkout and the program's folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GITHUB_", "RUNNER_", "CI_")) and name not in ("NO_COLOR", "PYTEST_ADDOPTS")
    }
    path = os.pathsep.join([str(programs), kept["PATH"]]) if programs else kept["PATH"]
    return {**kept, "PYTHONPATH": str(ROOT), "PATH": path, **more}
