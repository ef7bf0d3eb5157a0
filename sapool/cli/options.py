"""Options that several commands share, and the one way in which they print."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

# Wide enough for the tables, and what a pipe or a file gets.
_PLAIN_WIDTH = 100


def report_options(formats: Iterable[str]) -> Callable[[Command], Command]:
    """Add `--format` (one of `formats`, the first by default) and `--output` to a command."""
    choices = list(formats)

    def decorate(command: Command) -> Command:
        command = click.option(
            "--output",
            "-o",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write to this file; standard output otherwise.",
        )(command)
        return click.option(
            "--format",
            "format_",
            type=click.Choice(choices),
            default=choices[0],
            show_default=True,
            help="How to write the report.",
        )(command)

    return decorate


def emit(text: str, output: Path | None) -> None:
    """Print `text` to standard output, or put it into the file `output`."""
    if output is None:
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        return
    from firmware_sim.files import write_atomic

    write_atomic(output, text if text.endswith("\n") else f"{text}\n")
    click.echo(f"wrote {output}", err=True)


def colour_wanted(output: Path | None) -> bool:
    """Colour goes to terminals only, and never where NO_COLOR (https://no-color.org) is set to anything."""
    return output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def line_width(output: Path | None) -> int:
    """Columns of the terminal; a fixed number for files and pipes, so that they do not change with the window."""
    if output is None and sys.stdout.isatty():
        return max(80, shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns)
    return _PLAIN_WIDTH
