"""The options for layers that are computed in bands of rows, and the line that tells how far a search for them is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_FORMS = ("explicit", "views", "loop")  # the library is imported when a command runs


class Share(click.ParamType):  # type: ignore[type-arg]  # not generic in older clicks
    """A share, written as "10%" or 0.1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share as a number; fails if it is none or negative."""
        if isinstance(value, float):
            return value
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f'{value!r} is not a share; write "10%" or 0.1', param, ctx)
        if not 0 <= share <= 100:
            self.fail(f"{value!r} is not between 0 and 10000%", param, ctx)
        return share


class Size(click.ParamType):  # type: ignore[type-arg]
    """Bytes, such as "96 KiB"."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The size in bytes."""
        from firmware_sim.errors import UsageError
        from firmware_sim.sizes import parse

        try:
            return parse(value if isinstance(value, int) else str(value))
        except UsageError as error:
            self.fail(f"{error.message} ({error.hint})" if error.hint else error.message, param, ctx)


bands_option = click.option(
    "--bands", is_flag=True, help="Compute early layers in bands of rows where that needs less arena."
)  # fmt: skip


def extra_macs_option(goes_with: str) -> Callable[[Command], Command]:
    """--max-extra-macs, which means something with another option only."""
    return click.option(
        "--max-extra-macs", type=Share(), metavar="SHARE",
        help=f"With {goes_with}: multiplications that may be added.  [default: 10%]",
    )  # fmt: skip


def form_option(goes_with: str) -> Callable[[Command], Command]:
    """--form, which means something with another option only."""
    return click.option(
        "--form", type=click.Choice(_FORMS),
        help=f"With {goes_with}: how they are written. explicit: as slices and concatenations, legal TFLite anywhere. "
        "views: without copies, right in TFLM alone and with the plan in the file alone. loop: so too, and equal bands as "
        "one loop.  [default: explicit]",
    )  # fmt: skip


def bands_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--bands and all that goes with it."""
    options = [
        bands_option,
        extra_macs_option("--bands"),
        click.option(
            "--arena", type=Size(), metavar="SIZE",
            help="With --bands: an arena that is small enough; the fewest multiplications that reach it are chosen.",
        ),
        form_option("--bands"),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def wants_bands(
    bands: bool,
    format_: str,
    max_extra_macs: float | None,
    arena: int | None,
    form: str | None,
    without: Sequence[str],
) -> bool:
    """Whether bands were asked for.

    Raises:
        UsageError: an option goes with bands only, or not with them.
    """
    from firmware_sim.errors import UsageError

    if bands and without:
        raise UsageError(
            f"--no-{without[0]} does not go with --bands, which needs all passes and decides on each PAD itself"
        )
    if not bands and (max_extra_macs is not None or arena is not None or form is not None or format_ == "flow"):
        raise UsageError("--max-extra-macs, --arena, --form and --format flow go with --bands")
    return bands


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line on a terminal that each message takes the place of, nothing anywhere else."""
    is_on = sys.stderr.isatty()

    def show(text: str) -> None:
        if is_on:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    try:
        yield show
    finally:
        show("")
