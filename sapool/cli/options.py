"""Options that several commands share, and the one way in which they print."""

from __future__ import annotations

import os
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


def size_option(*names: str, help: str) -> Callable[[Command], Command]:
    """An option that takes a size, as bytes or text such as "96 KiB", and hands on bytes, None if it is not given."""

    def convert(ctx: click.Context, option: click.Parameter, value: str | None) -> int | None:
        from firmware_sim import sizes
        from firmware_sim.errors import UsageError

        try:
            return None if value is None else sizes.parse(value)
        except UsageError as error:
            raise UsageError(error.message, where=option.opts[0], hint=error.hint) from error

    return click.option(*names, metavar="SIZE", callback=convert, help=help)


plan_option = click.option(
    "--plan", "plan_name", type=click.Choice(["tflm", "overlap", "bands"]), default="tflm", show_default=True,
    help="The arena that counts: as TFLM plans it, or as sapool export --shrink or --bands does, for the kernels of "
    "--target (without it for all that are known). A network takes seconds to price with bands.",
)  # fmt: skip


target_file_option = click.option(
    "--target-file", "target_files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A JSON file with a board of your own, written as 'sapool targets BOARD --format json' does; may be repeated.",
)  # fmt: skip


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
        import shutil

        return max(80, shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns)
    return _PLAIN_WIDTH
