"""The entry point `sapool`: finds the command, runs it, and turns errors into exit codes.

A command is the click command `command` in the module `sapool.cli.<name>`, and is imported when it is asked for: listing
the commands, or running one that needs no torch, must not load torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

import click

from sapool import __version__
from sapool.errors import SapoolError, UsageError

# In the order of `sapool --help`. The summaries stand here because the modules are not imported for them.
COMMANDS = {
    "train": "Train a network on a data set.",
    "evaluate": "Measure the accuracy of a checkpoint or an exported file.",
    "prune": "Remove channels until a network meets a budget.",
    "downsample": "Search over early downsampling plans.",
    "export": "Export a checkpoint to int8 TFLite or ONNX.",
    "memreport": "Report what a .tflite file needs in RAM and flash.",
    "plan": "Plan the memory of a .tflite file anew.",
    "shrink": "Rewrite a .tflite file to need less arena.",
    "check": "Check models against the size budgets of a project.",
    "targets": "List the boards that are known.",
    "models": "List the networks and pooling methods that can be built.",
}
INTERRUPTED = 130
# What a shell reports for a program that SIGPIPE ended.
PIPE_CLOSED = 141
INTERNAL = 4


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports each one when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands whose modules are there."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"sapool.cli.{name}")]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"sapool.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries and without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begins with."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            import difflib

            nearest = difflib.get_close_matches(args[0], known, n=1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"commands: {', '.join(known)}"
            raise UsageError(f"no command '{args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sapool")
def group() -> None:
    """Networks from PyTorch to microcontrollers, with the SRAM price known to the byte.

    Data goes to standard output, progress and messages to standard error.

    Exit codes: 0 fine, 1 a budget is exceeded, 2 usage or configuration, 3 a model or data file that cannot be read or is
    not supported, 4 a fault of sapool.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never raises.

    Args:
        argv: arguments without the program's name; by default those of the process.
    """
    _tolerate_narrow_encodings()
    # Before any command imports torch: threads that spin while they wait make it up to ten times slower on busy cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except SapoolError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. Python flushes standard output once more at exit, which must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        _report_fault(error)
        return INTERNAL
    return code


def _run(arguments: list[str]) -> int:
    # click's own main() would turn a closed pipe into exit code 1, which here means an exceeded budget.
    try:
        with group.make_context("sapool", arguments) as context:
            group.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0


def _report_fault(error: Exception) -> None:
    debug = os.environ.get("SAPOOL_DEBUG") == "1"
    if debug:
        import traceback

        click.echo(traceback.format_exc(), err=True, nl=False)
    click.echo(f"internal error: {type(error).__name__}: {error}", err=True)
    click.echo("  This is a fault of sapool; please report it with the command that led to it.", err=True)
    if not debug:
        click.echo("  SAPOOL_DEBUG=1 shows where it happened.", err=True)


def _tolerate_narrow_encodings() -> None:
    """Let names that the terminal cannot show come out as question marks and not as an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
