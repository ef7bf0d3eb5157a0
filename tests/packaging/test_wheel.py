"""A wheel, installed without extras into an empty environment, reports the memory of a model; torch is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_three_packages_and_their_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "sapool/cli/main.py", "sapool/py.typed", "exporters/operators.json", "firmware_sim/schema/tflite.json",
        "firmware_sim/memory/sizes/core.json", "firmware_sim/targets/data/stm32f746.json",
        "sapool/presets.json", "sapool/prices.json",
        "firmware_sim/targets/target-1.schema.json",
        "firmware_sim/budget/sapool-1.schema.json", "firmware_sim/budget/check-1.schema.json", "sapool/pytest_plugin.py",
    ):  # fmt: skip
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]
    (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "[pytest11]\nsapool = sapool.pytest_plugin\n" in text


def test_memreport_runs_in_an_empty_environment(wheel, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if installed.returncode and not os.environ.get("CI"):
        pytest.skip(f"the base dependencies cannot be installed here: {installed.stderr.strip()[-200:]}")
    assert installed.returncode == 0, installed.stderr
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite(small_network()))
    command = [home / "bin" / "sapool", "memreport", str(model), "--format", "json"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arena"]["exact"] is True
    (tmp_path / "sapool.toml").write_text('[[budget]]\nmodel = "*.tflite"\ntarget = "stm32f446re"\narena = 100\n')
    command = [home / "bin" / "sapool", "check", "--report", "sarif=check.sarif"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads((tmp_path / "check.sarif").read_text("utf-8"))["runs"][0]["tool"]["driver"]["version"]
    absent = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) for m in ('torch', 'lightning', 'onnx')))"
    assert subprocess.run([python, "-c", absent], env=environment, check=False).returncode == 0
