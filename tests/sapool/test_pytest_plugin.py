"""The fixture `size_budget`, in runs of pytest of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import sapool_command
from support.tflite_files import small_network, tflite

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = """
[[budget]]
name = "good"
model = "build/*.tflite"
arena = "1 MiB"
[[budget]]
name = "small"
model = "build/*.tflite"
arena = 100
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "net größe.tflite").write_bytes(tflite(small_network()))
    (tmp_path / "build" / "broken.txt").write_text("no model")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "sapool.toml").write_text(CONFIGURATION)
    return tmp_path


def run(project: Path, content: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file with this content, or with one test that has this body."""
    (project / "tests").mkdir()
    body = content if content.startswith("def ") else f"def test_it(size_budget):\n    {content}\n"
    (project / "tests" / "test_size.py").write_text(body, "utf-8")
    # Named by hand, since sapool need not be installed where these tests run.
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "sapool.pytest_plugin", "tests"],
        cwd=project, env=sapool_command.environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        'size_budget("build/*.tflite", arena="64 KiB", flash="64 KiB", warn_at=0.9)',
        'size_budget("build/net größe.tflite", target="stm32f446re")',
        'assert size_budget("build/*.tflite", arena=1, informational=True).exit_code == 0',
        'size_budget.configured("good")',
        'size_budget.configured("good", config="sapool.toml")',
    ],
)
def test_budgets_that_are_met_pass(project, body):
    done = run(project, body)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('size_budget("build/*.tflite", arena=100)', "bytes too much"),
        ('size_budget("build/none.tflite", arena=100)', "No such file"),
        ('size_budget("build/broken.txt", arena=100)', "ERROR"),
        ("size_budget.configured()", "FAIL  small"),
    ],
)
def test_budgets_that_are_not_met_fail_with_what_the_command_prints(project, body, words):
    done = run(project, body)
    assert done.returncode == 1, done.stdout
    assert words in done.stdout
    assert "1 failed" in done.stdout
    assert "Traceback" not in done.stdout
    assert "def test_it" not in done.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('size_budget("build/*.tflite", arean=1)', "did you mean 'arena'?"),
        ('size_budget("*.none", arena=1)', "matches no file"),
        ('size_budget("build/*.tflite", max_increase=1)', "size_budget.configured()"),
        ('size_budget.configured("bad")', "budgets: good, small"),
    ],
)
def test_mistakes_are_errors_with_a_hint(project, body, words):
    done = run(project, body)
    assert done.returncode == 1
    assert "UsageError" in done.stdout
    assert words in done.stdout


def test_the_examples_of_the_docs_pass(project):
    text = (ROOT / "docs" / "check.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (project / "sapool.toml").write_text(CONFIGURATION.partition('\n[[budget]]\nname = "small"')[0])
    (project / "build" / "net.tflite").write_bytes(tflite(small_network()))
    done = run(project, example)
    assert "2 passed" in done.stdout, done.stdout


def test_pytest_finds_the_plug_in_where_sapool_is_installed():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert '\n[project.entry-points.pytest11]\nsapool = "sapool.pytest_plugin"\n' in text
