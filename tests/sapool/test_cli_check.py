"""`sapool check`: every combination of verdict, format and exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

from sapool.cli.main import main

ROOT = Path(__file__).parents[2]
CONTENT = tflite(small_network())

PASS = '[[budget]]\nname = "good"\nmodel = "net.tflite"\narena = "1 MiB"\n'
WARN = '[[budget]]\nname = "close"\nmodel = "net.tflite"\narena = "1 MiB"\nwarn-at = 0\n'
FAIL = '[[budget]]\nname = "small"\nmodel = "net.tflite"\narena = 100\n'
INFORMATIONAL = FAIL.replace("small", "told") + "informational = true\n"
MISSING = '[[budget]]\nname = "gone"\nmodel = "none.tflite"\narena = 100\n'
BROKEN = '[[budget]]\nname = "broken"\nmodel = "broken.tflite"\narena = 100\n'
NOTHING = '[[budget]]\nname = "glob"\nmodel = "*.none"\narena = 100\n'


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "a project"
    folder.mkdir()
    (folder / "net.tflite").write_bytes(CONTENT)
    (folder / "broken.tflite").write_bytes(CONTENT[:100])
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(
    ("text", "code", "statuses"),
    [
        (PASS, 0, ["PASS"]),
        (WARN, 0, ["WARN"]),
        (FAIL, 1, ["FAIL"]),
        (INFORMATIONAL, 0, ["FAIL"]),
        (PASS + FAIL + WARN, 1, ["PASS", "FAIL", "WARN"]),
        (MISSING, 3, ["ERROR"]),
        (BROKEN, 3, ["ERROR"]),
        (FAIL + MISSING + PASS, 3, ["FAIL", "ERROR", "PASS"]),
    ],
)
def test_verdicts_decide_the_code_and_formats_do_not(project, capsys, format, text, code, statuses):
    (project / "sapool.toml").write_text(text)
    assert main(["check", "--format", format]) == code
    out, err = capsys.readouterr()
    assert err == ""
    if format == "json":
        content = json.loads(out)
        assert content["exit_code"] == code
        assert [result["status"] for result in content["results"]] == statuses
    else:
        marks = [line.split()[0] for line in out.splitlines() if line[:1].isupper()]
        assert marks == statuses


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PASS + "arean = 1", "did you mean 'arena'?"),
        (PASS + "arena = ", "sapool.toml:5"),
        (FAIL + MISSING + NOTHING, "matches no file"),
        (PASS + 'target = "stm32f747"', "stm32f746"),
        ("", "no budget"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_2_and_prints_nothing(project, capsys, format, text, words):
    (project / "sapool.toml").write_text(text)
    assert main(["check", "--format", format]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_no_configuration_is_2(project, capsys):
    assert main(["check"]) == 2
    assert "sapool.toml" in capsys.readouterr().err
    assert main(["check", "--config", "none.toml"]) == 2


def test_paths_are_relative_to_the_configuration(project, monkeypatch, capsys):
    (project / "pyproject.toml").write_text(PASS.replace("[[budget]]", "[[tool.sapool.budget]]"))
    monkeypatch.chdir(project.parent)
    assert main(["check", "--config", str(project / "pyproject.toml")]) == 0
    assert "1 checked: 1 PASS" in capsys.readouterr().out


def test_a_failure_shows_the_peak(project, capsys):
    (project / "sapool.toml").write_text(FAIL)
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "peak at layer" in out
    assert "features" in out


def test_output_is_a_file_and_the_code_stays(project, capsys):
    (project / "sapool.toml").write_text(FAIL)
    assert main(["check", "-o", "verdicts.txt"]) == 1
    assert capsys.readouterr().out == ""
    assert "FAIL" in (project / "verdicts.txt").read_text()


def test_in_a_process_of_its_own_without_a_traceback(project):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for text, code in ((PASS, 0), (FAIL, 1), ("= 1", 2), (BROKEN, 3)):
        (project / "sapool.toml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "sapool.cli", "check"],
            capture_output=True, text=True, timeout=60, check=False, env=environment,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr


def test_twenty_models_are_quick(project):
    for number in range(20):
        (project / f"model{number}.tflite").write_bytes(CONTENT)
    (project / "sapool.toml").write_text('[[budget]]\nmodel = "model*.tflite"\ntarget = "stm32f446re"\n')
    started = time.perf_counter()
    assert main(["check"]) == 0
    # Half a second here; the margin is for a busy machine.
    assert time.perf_counter() - started < 5
