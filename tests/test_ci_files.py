"""What other projects take from here into their CI: the GitHub action, the pre-commit hook and the GitLab snippet, run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import sapool_command
from support.tflite_files import small_network, tflite

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
PASS = '[[budget]]\nname = "good"\nmodel = "build/*.tflite"\narena = "1 MiB"\n'
FAIL = '[[budget]]\nname = "small"\nmodel = "build/*.tflite"\narena = 100\n'
BASH = shutil.which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="needs bash")


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "a repository"
    (folder / "sub dir" / "build").mkdir(parents=True)
    (folder / "sub dir" / "build" / "net größe.tflite").write_bytes(tflite(small_network()))
    return folder


def run_step(name: str, repository: Path, inputs: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the action as the runner does: expressions filled in, `bash --noprofile --norc -eo pipefail`."""
    given = {key: inputs.pop(key, entry["default"]) for key, entry in ACTION["inputs"].items()}
    assert not inputs

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: given[match[1]], text)

    step: dict[str, Any] = STEPS[name]
    script = repository.parent / "step.sh"
    script.write_text(step["run"], "utf-8")
    assert "${{" not in step["run"], "an expression in a script would run what somebody puts into an input"
    places = {
        "RUNNER_TEMP": str(repository.parent / "runner temp"), "GITHUB_WORKSPACE": str(repository),
        "GITHUB_ACTION_PATH": str(ROOT), "GITHUB_OUTPUT": str(repository.parent / "output"),
        "GITHUB_STEP_SUMMARY": str(repository.parent / "summary"),
    }  # fmt: skip
    stated = {key: filled(value) for key, value in step["env"].items()}
    return subprocess.run(
        [BASH, "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        cwd=repository / filled(step.get("working-directory", ".")),
        env=sapool_command.environment(**places, **stated, **variables),
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def test_the_action_is_a_composite_one_whose_inputs_and_outputs_are_used():
    assert ACTION["runs"]["using"] == "composite"
    text = (ROOT / "action.yml").read_text("utf-8")
    for name, entry in ACTION["inputs"].items():
        assert f"${{{{ inputs.{name} }}}}" in text
        assert entry["description"].endswith(".")
    assert ACTION["outputs"]["exit-code"]["value"] == "${{ steps.check.outputs.exit-code }}"
    assert STEPS["Check size budgets"]["id"] == "check"
    assert all(step["shell"] == "bash" for step in STEPS.values())


@needs_bash
@pytest.mark.parametrize(("text", "code"), [(PASS, 0), (FAIL, 1), ("= 1", 2), (FAIL.replace("*", "none"), 3)])
def test_the_action_checks(repository, text, code):
    sapool_command.install(repository.parent / "runner temp" / "sapool" / "bin")
    (repository / "sub dir" / "sapool.toml").write_text(text)
    done = run_step("Check size budgets", repository, {"working-directory": "sub dir"})
    assert done.returncode == code, done.stderr
    assert (repository.parent / "output").read_text() == f"exit-code={code}\n"
    if code != 2:
        assert (repository.parent / "summary").read_text("utf-8").startswith("### Size budgets: 1 checked")
    commands = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert len(commands) == (1 if code in (1, 3) else 0)
    if commands:
        assert commands[0].startswith("::error file=sub dir/sapool.toml,line=1,title=Size budget small%3A ")


@needs_bash
def test_the_action_passes_its_inputs_on(repository):
    sapool_command.install(repository.parent / "runner temp" / "sapool" / "bin")
    config = repository / "ci $(touch x).toml"
    config.write_text(FAIL.replace("build", "sub dir/build") + "max-increase = 0\n")
    inputs = {"config": config.name, "baseline": "base line.json", "sarif": "a b.sarif", "junit": "`touch y`.xml"}
    done = run_step("Check size budgets", repository, inputs)
    assert done.returncode == 1, done.stderr
    assert json.loads((repository / "a b.sarif").read_text("utf-8"))["version"] == "2.1.0"
    assert (repository / "`touch y`.xml").read_text("utf-8").startswith("<?xml")
    assert "no baseline base line.json" in done.stdout
    assert not (repository / "x").exists()
    assert not (repository / "y").exists()


@needs_bash
@pytest.mark.parametrize(
    ("requirement", "installed"), [("", str(ROOT)), ("sapool[tflm]==0.1.0", "sapool[tflm]==0.1.0")]
)
def test_the_action_installs_into_an_environment_of_its_own(repository, requirement, installed):
    """With a stand-in for Python, which makes the environment and writes down what pip is asked for."""
    stand_in = repository.parent / "a python"
    stand_in.write_text(
        '#!/bin/sh\n[ "$1 $2" = "-m venv" ] && mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && exit\n'
        'for argument; do echo "$argument"; done > "$LOG"\n'
    )
    stand_in.chmod(0o755)
    log = repository.parent / "log"
    inputs = {"python": str(stand_in), "requirement": requirement}
    done = run_step("Install sapool", repository, inputs, LOG=str(log))
    assert done.returncode == 0, done.stderr
    arguments = log.read_text().splitlines()
    assert arguments[:3] == ["-m", "pip", "install"]
    assert arguments[-1] == installed


@needs_bash
@pytest.mark.slow
def test_the_action_as_a_whole(repository):
    """Both steps with the real pip, where the base dependencies can be installed."""
    done = run_step("Install sapool", repository, {"python": sys.executable})
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"the base dependencies cannot be installed here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    (repository / "sub dir" / "sapool.toml").write_text(FAIL)
    done = run_step("Check size budgets", repository, {"working-directory": "sub dir"}, PYTHONPATH="")
    assert done.returncode == 1, done.stderr
    assert "FAIL  small" in done.stdout


HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))


def test_the_hook_runs_the_command_and_fails_with_it(repository):
    (hook,) = HOOKS
    assert (hook["language"], hook["pass_filenames"]) == ("python", False)
    programs = repository.parent / "bin"
    sapool_command.install(programs)
    for text, code in ((PASS, 0), (FAIL, 1)):
        (repository / "sub dir" / "sapool.toml").write_text(text)
        done = subprocess.run(
            shlex.split(hook["entry"]), cwd=repository / "sub dir", env=sapool_command.environment(programs),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        ("net.tflite", True), ("build/a b.tflite", True), ("sapool.toml", True), ("ci/sapool.toml", True),
        ("pyproject.toml", True), ("sapool-baseline.json", True), ("notsapool.toml", False), ("a.py", False),
        ("net.tflite.txt", False), ("package.json", False),
    ],
)  # fmt: skip
def test_the_hook_runs_when_a_verdict_may_change(path, runs):
    (hook,) = HOOKS
    assert bool(re.search(hook["files"], path)) is runs


DOCS = (ROOT / "docs" / "check.md").read_text("utf-8")
SNIPPETS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)]


@needs_bash
@pytest.mark.parametrize(("text", "code"), [(PASS, 0), (FAIL, 1)])
def test_the_gitlab_snippet_runs_and_leaves_what_it_declares(repository, text, code):
    (job,) = [
        snippet["size-budgets"] for snippet in SNIPPETS if isinstance(snippet, dict) and "size-budgets" in snippet
    ]
    install, *script = job["script"]
    assert install == "pip install sapool"
    programs = repository.parent / "bin"
    sapool_command.install(programs)
    folder = repository / "sub dir"
    (folder / "sapool.toml").write_text(text)
    done = subprocess.run(
        [BASH, "-eo", "pipefail", "-c", "\n".join(script)], cwd=folder,
        env=sapool_command.environment(programs, CI_PROJECT_DIR=str(folder)),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    reports = job["artifacts"]["reports"]
    found = json.loads((folder / reports["codequality"]).read_text("utf-8"))
    assert [entry["location"]["path"] for entry in found] == ["sapool.toml"] * code
    assert (folder / reports["junit"]).is_file()


def test_the_github_snippets_use_what_the_action_has():
    steps = [
        step
        for snippet in SNIPPETS
        if isinstance(snippet, dict)
        for step in snippet.get("jobs", {}).get("sizes", {}).get("steps", [])
    ]
    (own,) = [step for step in steps if step.get("uses", "").startswith("OWNER/sapool@")]
    assert own["with"].keys() <= ACTION["inputs"].keys()
    (upload,) = [step for step in steps if "upload-sarif" in step.get("uses", "")]
    assert upload["with"]["sarif_file"] == own["with"]["sarif"]
    (hook,) = [hook for snippet in SNIPPETS if "repos" in snippet for hook in snippet["repos"][0]["hooks"]]
    assert hook["id"] == HOOKS[0]["id"]
