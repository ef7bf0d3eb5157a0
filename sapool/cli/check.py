"""`sapool check`: the size budgets of a project, for its continuous integration."""

from __future__ import annotations

from pathlib import Path

import click

from firmware_sim.budget.rendering import formats, render
from firmware_sim.report import Style
from sapool.cli.options import colour_wanted, emit, line_width, report_options


@click.command(name="check")
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), metavar="FILE",
    help="The configuration; by default sapool.toml, else [tool.sapool] of pyproject.toml, in the current folder.",
)  # fmt: skip
@report_options(formats())
@click.pass_context
def command(ctx: click.Context, config: Path | None, format_: str, output: Path | None) -> None:
    """Check models against the size budgets of a project.

    \b
    # sapool.toml (in pyproject.toml: [[tool.sapool.budget]])
    [[budget]]
    name = "person detection"
    model = "build/*.tflite"       # path or glob, relative to this file
    target = "stm32f446re"         # a board, which has to hold the model, or a profile
    arena = "96 KiB"               # or "96 kB", or bytes
    flash = "320 KiB"              # size of the model file
    warn-at = 0.9                  # WARN above 90 % of a limit
    informational = false          # true: never fails the check

    Every budget is evaluated. Exit code 0 if all are met, 1 if one is exceeded, 3 if a model cannot be read, 2 if the
    configuration makes no sense, in which case nothing is measured.
    """
    from firmware_sim.budget import evaluate, find, load

    outcome = evaluate(load(config if config is not None else find(Path())))
    style = Style(width=line_width(output), colour=colour_wanted(output))
    emit(render(outcome, format_, style=style), output)
    ctx.exit(outcome.exit_code)
