"""The entry point: commands found by name, errors as exit codes, nothing loaded that is not needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from support.tflite_files import small_network, tflite

from sapool import __version__
from sapool.cli import main as entry
from sapool.cli.main import COMMANDS, main
from sapool.errors import BudgetExceeded, InternalError, ModelError, SapoolError, UsageError

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sapool.cli", *arguments],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def command(monkeypatch):
    """Make a function the command `targets`, whatever it does."""

    def install(function):
        built = click.command("targets")(function)
        monkeypatch.setattr(entry.LazyGroup, "get_command", lambda self, ctx, name: built)

    return install


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_the_commands_that_are_there(flag, capsys):
    assert main([flag]) == 0
    out, err = capsys.readouterr()
    for name, summary in COMMANDS.items():
        there = (ROOT / "sapool" / "cli" / f"{name}.py").is_file()
        assert (f"  {name} " in out) == there
        assert (summary in out) == there
    assert err == ""


@pytest.mark.parametrize("name", ["memreport", "check", "targets"])
def test_every_command_has_help_with_an_example(name, capsys):
    assert main([name, "-h"]) == 0
    out = capsys.readouterr().out
    assert f"sapool {name}" in out
    assert out.count("\n") > 10


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"sapool, version {__version__}"


def test_no_arguments_show_the_help_as_a_usage_error(capsys):
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["memreprot"], "did you mean 'memreport'?"),
        (["zzzzzz"], "commands:"),
        (["--nonsense"], "--nonsense"),
        (["targets", "--nonsense"], "--nonsense"),
        (["memreport"], "Missing argument 'MODEL'"),
        (["memreport", "x.tflite", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_usage_errors_are_2(arguments, words, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


@pytest.mark.parametrize("kind", [BudgetExceeded, UsageError, ModelError, InternalError, SapoolError])
def test_our_errors_have_the_code_of_their_class(kind, command, capsys):
    def fail():
        raise kind("what", where="place", hint="do this")

    command(fail)
    assert main(["targets"]) == kind.exit_code
    assert capsys.readouterr() == ("", "error: place: what\n  do this\n")


def test_other_errors_are_faults_of_ours(command, capsys, monkeypatch):
    def fail():
        raise KeyError("lost")

    command(fail)
    monkeypatch.delenv("SAPOOL_DEBUG", raising=False)
    assert main(["targets"]) == 4
    err = capsys.readouterr().err
    assert "internal error: KeyError: 'lost'" in err
    assert "report it" in err
    assert "Traceback" not in err
    monkeypatch.setenv("SAPOOL_DEBUG", "1")
    assert main(["targets"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_is_130(kind, command, capsys):
    def fail():
        raise kind

    command(fail)
    assert main(["targets"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_may_end_with_a_code(code, command):
    command(lambda: click.get_current_context().exit(code))
    assert main(["targets"]) == code


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("arguments", [["targets", "--format", "json"], ["--help"]])
def test_a_reader_that_goes_away_is_no_error(arguments):
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "sapool.cli", *arguments],
        stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=60, check=False, cwd=ROOT,
    )  # fmt: skip
    os.close(write_end)
    assert done.returncode == 141
    assert done.stderr == ""


LOADED = """
import sys
from sapool.cli.main import main
code = main({arguments!r})
heavy = {{"torch", "lightning", "onnx", "sklearn", "PIL", "tflite_micro", "ai_edge_litert"}} | set({more!r})
found = sorted(heavy & set(sys.modules))
sys.exit(f"loaded {{found}}" if found or code else 0)
"""


@pytest.mark.parametrize(
    ("arguments", "more"),
    [(["--help"], ["numpy"]), (["--version"], ["numpy"]), (["targets"], ["numpy"]), (["memreport", "-h"], ["numpy"])],
)
def test_nothing_heavy_is_loaded(arguments, more):
    source = LOADED.format(arguments=arguments, more=more)
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_names_that_the_terminal_cannot_show_are_no_error(tmp_path):
    path = tmp_path / "größe.tflite"
    path.write_bytes(tflite(small_network()))
    done = run("memreport", str(path), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "gr??e.tflite" in done.stdout
