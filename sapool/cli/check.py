"""`sapool check`: the size budgets of a project, for its continuous integration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware_sim.budget.formats import formats, render
from firmware_sim.report import Style
from sapool.cli.options import colour_wanted, emit, line_width, report_options

if TYPE_CHECKING:
    from firmware_sim.budget import Baseline, Outcome


@click.command(name="check")
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), metavar="FILE",
    help="The configuration; by default sapool.toml, else [tool.sapool] of pyproject.toml, in the current folder.",
)  # fmt: skip
@click.option(
    "--baseline", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The figures that growth is judged against; by default what the configuration says, else sapool-baseline.json "
    "beside it.",
)  # fmt: skip
@click.option(
    "--update-baseline", is_flag=True,
    help="Write the present figures to the baseline, a file to be committed; growth does not count then.",
)  # fmt: skip
@report_options(formats())
@click.option(
    "--report", "reports", multiple=True, metavar="FORMAT=FILE",
    help="Write a report to a file besides, for example sarif=check.sarif; may be repeated.",
)  # fmt: skip
@click.option("--schema", is_flag=True, help="Print the JSON Schema of sapool.toml, for editors, and check nothing.")
@click.pass_context
def command(
    ctx: click.Context,
    config: Path | None,
    baseline: Path | None,
    update_baseline: bool,
    format_: str,
    output: Path | None,
    reports: tuple[str, ...],
    schema: bool,
) -> None:
    """Check models against the size budgets of a project.

    \b
    sapool check
    sapool check --update-baseline
    sapool check --format github --report sarif=check.sarif --report junit=check.xml

    \b
    # sapool.toml (in pyproject.toml: [[tool.sapool.budget]])
    [[budget]]
    name = "person detection"
    model = "build/*.tflite"       # path or glob, relative to this file
    target = "stm32f446re"         # a board, which has to hold the model, or a profile
    arena = "96 KiB"               # or "96 kB", or bytes
    flash = "320 KiB"              # size of the model file
    max-increase = "2 KiB"         # or "5 %", against the baseline
    warn-at = 0.9                  # WARN above 90 % of a limit
    informational = false          # true: never fails the check

    Every budget is evaluated. Exit code 0 if all are met, 1 if one is exceeded, 3 if a model cannot be read, 2 if the
    configuration makes no sense, in which case nothing is measured. The format does not change it.

    With --format github, a table goes to the summary of the step as well (GITHUB_STEP_SUMMARY).
    """
    from firmware_sim.budget import evaluate, find, load

    if schema:
        _print_schema(output)
        return
    more = [_report(text) for text in reports]
    stated = load(config if config is not None else find(Path()))
    before = _load_baseline(baseline or stated.baseline)
    outcome = evaluate(stated.budgets, before, accept=update_baseline)
    root = _root()
    style = Style(width=line_width(output), colour=colour_wanted(output))
    emit(render(outcome, format_, style=style, root=root), output)
    for format_name, path in more:
        emit(render(outcome, format_name, root=root), path)
    if format_ == "github":
        _append_step_summary(outcome)
    if update_baseline:
        _write_baseline(outcome, before)
    ctx.exit(outcome.exit_code)


def _report(text: str) -> tuple[str, Path]:
    from firmware_sim.errors import UsageError

    name, separator, path = text.partition("=")
    if not separator or not path or name not in formats():
        raise UsageError(f"--report {text!r} is not FORMAT=FILE", hint=f"formats: {', '.join(formats())}")
    return name, Path(path)


def _load_baseline(path: Path) -> Baseline:
    from firmware_sim.budget import baseline

    return baseline.load(path)


def _write_baseline(outcome: Outcome, before: Baseline) -> None:
    from firmware_sim.budget import baseline, updated

    emit(baseline.dump(updated(outcome, before)), before.path)


def _root() -> Path:
    """The repository, where the machine of a CI service says where it is."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR") or ".")


def _append_step_summary(outcome: Outcome) -> None:
    from firmware_sim.budget.formats.github import step_summary
    from firmware_sim.errors import UsageError

    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    try:
        # Steps append to what is there: replacing the file would lose what others wrote.
        used_bytes = path.stat().st_size if path.exists() else 0
        with path.open("a", encoding="utf-8", errors="replace") as stream:
            stream.write(step_summary(outcome, used_bytes))
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror or error}", where=path) from error


def _print_schema(output: Path | None) -> None:
    import json

    from firmware_sim.budget import configuration_schema

    emit(json.dumps(configuration_schema(), indent=2), output)
