"""`sapool check`: every combination of verdict, format and exit code."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

from firmware_sim.budget import configuration_schema, formats
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
    for name in ("GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def statuses_of(format: str, out: str) -> list[str] | None:
    """What the output says of each model; None for a format that only lists what is wrong."""
    if format == "json":
        return [result["status"] for result in json.loads(out)["results"]]
    if format == "markdown":
        return re.findall(r"^\| \S+ (\w+)(?: \(informational\))? \|", out, re.MULTILINE)
    if format == "junit":
        names = {"failure": "FAIL", "error": "ERROR", "skipped": "FAIL"}
        cases = ET.fromstring(out.encode()).iter("testcase")
        return [names.get(case[0].tag) or case[0].text.split()[0] for case in cases]
    if format in ("text", "github"):
        return [line.split()[0] for line in out.splitlines() if line[:1].isupper()]
    return None


@pytest.mark.parametrize("format", formats())
@pytest.mark.parametrize(
    ("text", "code", "statuses"),
    [
        (PASS, 0, ["PASS"]),
        (WARN, 0, ["WARN"]),
        (FAIL, 1, ["FAIL"]),
        (INFORMATIONAL, 0, ["FAIL"]),
        (PASS + FAIL + WARN, 1, ["PASS", "FAIL", "WARN"]),
        (INFORMATIONAL + WARN, 0, ["FAIL", "WARN"]),
        (MISSING, 3, ["ERROR"]),
        (BROKEN, 3, ["ERROR"]),
        (MISSING + "informational = true\n", 3, ["ERROR"]),
        (FAIL + MISSING + PASS, 3, ["FAIL", "ERROR", "PASS"]),
    ],
)
def test_verdicts_decide_the_code_and_formats_do_not(project, capsys, format, text, code, statuses):
    (project / "sapool.toml").write_text(text)
    assert main(["check", "--format", format]) == code
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    found = statuses_of(format, out)
    if found is None:
        content = json.loads(out)
        count = len(content) if format == "gitlab" else len(content["runs"][0]["results"])
        assert count == sum(status != "PASS" for status in statuses)
    else:
        assert found == statuses
    if format == "json":
        assert json.loads(out)["exit_code"] == code


@pytest.mark.parametrize("format", formats())
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PASS + "arean = 1", "did you mean 'arena'?"),
        (PASS + "arena = ", "sapool.toml:5"),
        (PASS + "runs = 3", "sapool.toml:5"),
        (FAIL + MISSING + NOTHING, "matches no file"),
        (PASS + 'target = "stm32f747"', "stm32f746"),
        ("", "no budget"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_2_and_prints_nothing(project, capsys, format, text, words):
    (project / "sapool.toml").write_text(text)
    assert main(["check", "--format", format, "--report", "json=report.json", "--update-baseline"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert sorted(path.name for path in project.iterdir()) == ["broken.tflite", "net.tflite", "sapool.toml"]


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


def test_several_reports_at_once(project, capsys):
    (project / "sapool.toml").write_text(FAIL)
    reports = [f"--report={name}=out dir/{name}" for name in formats()]
    assert main(["check", *reports]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("FAIL  small")
    assert err.splitlines() == [f"wrote out dir/{name}" for name in formats()]
    for name in formats():
        written = (project / "out dir" / name).read_text("utf-8")
        assert statuses_of(name, written) in (["FAIL"], None)


@pytest.mark.parametrize("value", ["sarif", "sarif=", "=a", "xml=a", ""])
def test_a_report_that_makes_no_sense_is_2(project, capsys, value):
    (project / "sapool.toml").write_text(PASS)
    assert main(["check", "--report", value]) == 2
    assert "FORMAT=FILE" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_2_and_the_verdict_is_printed_all_the_same(project, capsys):
    (project / "sapool.toml").write_text(PASS)
    assert main(["check", "--report", "json=net.tflite/report.json"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("PASS")
    assert "cannot write" in err


def test_the_table_goes_to_the_summary_of_the_step(project, monkeypatch, capsys):
    (project / "sapool.toml").write_text(FAIL)
    summary = project / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert main(["check"]) == 1
    assert summary.read_text() == "before\n"
    assert main(["check", "--format", "github"]) == 1
    text = summary.read_text("utf-8")
    assert text.startswith("before\n### Size budgets: 1 checked: 1 FAIL\n")
    assert "<details>" in text


def test_places_are_relative_to_the_repository(project, monkeypatch, capsys):
    (project / "sapool.toml").write_text(FAIL)
    for variable, format in (("GITHUB_WORKSPACE", "github"), ("CI_PROJECT_DIR", "gitlab")):
        monkeypatch.setenv(variable, str(project.parent))
        assert main(["check", "--format", format]) == 1
        assert "a project/sapool.toml" in capsys.readouterr().out
        monkeypatch.delenv(variable)


GROWING = '[[budget]]\nname = "growing"\nmodel = "net.tflite"\nmax-increase = 0\n'


def test_no_baseline_is_a_note_and_growth_fails_until_it_is_accepted(project, capsys):
    (project / "sapool.toml").write_text(GROWING)
    assert main(["check"]) == 0
    assert "note: there is no baseline sapool-baseline.json" in capsys.readouterr().out
    assert main(["check", "--update-baseline"]) == 0
    assert "wrote sapool-baseline.json" in capsys.readouterr().err
    stored = (project / "sapool-baseline.json").read_bytes()
    assert main(["check"]) == 0
    assert "note" not in capsys.readouterr().out
    graph = small_network()
    graph.operators.append(graph.operators[-1])
    (project / "net.tflite").write_bytes(tflite(graph))
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "arena growth" in out
    assert "against the baseline, most changed" in out
    assert (project / "sapool-baseline.json").read_bytes() == stored
    assert main(["check", "--update-baseline"]) == 0
    assert main(["check"]) == 0


def test_the_baseline_can_be_elsewhere(project, capsys):
    (project / "sapool.toml").write_text('baseline = "ci/base.json"\n' + GROWING)
    assert main(["check", "--update-baseline"]) == 0
    assert (project / "ci" / "base.json").is_file()
    assert main(["check", "--baseline", "other.json"]) == 0
    assert "no baseline other.json" in capsys.readouterr().out
    assert main(["check", "--baseline", "other.json", "--update-baseline"]) == 0
    assert (project / "other.json").read_bytes() == (project / "ci" / "base.json").read_bytes()


@pytest.mark.parametrize("format", formats())
def test_a_baseline_that_cannot_be_read_is_3(project, capsys, format):
    (project / "sapool.toml").write_text(PASS)
    (project / "sapool-baseline.json").write_text("{")
    for more in ([], ["--update-baseline"]):
        assert main(["check", "--format", format, *more]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: sapool-baseline.json: not JSON")
    assert (project / "sapool-baseline.json").read_text() == "{"


def test_paths_with_spaces_and_names_of_all_alphabets(project, capsys):
    folder = project / "модели 模型 [1]"
    folder.mkdir()
    for name in ("größe ä.tflite", "emoji 🤖.tflite"):
        (folder / name).write_bytes(CONTENT)
    (project / "sapool.toml").write_text('[[budget]]\nname = "名 前"\nmodel = "модели*/*.tflite"\narena = 1\n', "utf-8")
    for format in formats():
        assert main(["check", "--format", format]) == 1
        out = capsys.readouterr().out
        if format != "sarif":
            assert "模型" in out
        assert "名 前" in out
    os.rename(folder / "größe ä.tflite", os.fsencode(folder) + b"/\xff.tflite")
    for format in formats():
        assert main(["check", "--format", format, "-o", "report"]) == 1
        assert (project / "report").read_text("utf-8")


def test_the_schema_is_for_editors(project, capsys):
    assert main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == configuration_schema()
    assert main(["check", "--schema", "-o", "sapool.schema.json"]) == 0
    assert json.loads((project / "sapool.schema.json").read_text()) == configuration_schema()


def on_a_terminal(folder: Path, **environment: str) -> str:
    """What the command prints where standard output is a terminal."""
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sapool.cli", "check"],
        cwd=folder, stdout=follower, stderr=follower, stdin=follower,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    os.close(follower)
    content = b""
    try:
        while block := os.read(leader, 4096):
            content += block
    except OSError:
        pass  # how Linux reports that the other end is closed
    finally:
        os.close(leader)
    assert process.wait(timeout=60) == 1
    return content.decode()


def test_colour_is_for_terminals_that_want_it(project):
    (project / "sapool.toml").write_text(FAIL)
    assert "\x1b[31mFAIL" in on_a_terminal(project)
    assert "\x1b" not in on_a_terminal(project, NO_COLOR="1")


def test_twenty_models_take_less_than_two_seconds_from_a_cold_start(project):
    for number in range(20):
        (project / f"model{number}.tflite").write_bytes(tflite(small_network(), description=str(number)))
    text = '[[budget]]\nmodel = "model*.tflite"\ntarget = "stm32f446re"\nmax-increase = 0\n'
    (project / "sapool.toml").write_text(text)
    assert main(["check", "--update-baseline"]) == 0
    seconds = []
    for _ in range(3):
        before = _seconds_of_children()
        subprocess.run(
            [sys.executable, "-m", "sapool.cli", "check", "--report", "sarif=a", "--report", "markdown=b"],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True,
        )  # fmt: skip
        seconds.append(_seconds_of_children() - before)
    assert min(seconds) < 2


def _seconds_of_children() -> float:
    """What the processor spent on finished children: time on the wall counts what else the machine is doing."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
