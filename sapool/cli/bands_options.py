"""The options of `sapool shrink` for layers that are computed in bands of rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from firmware_sim.profiles import Profile
    from firmware_sim.report.bands import BandsReport

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


def bands_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--bands and what goes with it."""
    options = [
        click.option("--bands", is_flag=True, help="Compute early layers in bands of rows where that needs less arena."),
        click.option(
            "--max-extra-macs", type=Share(), metavar="SHARE",
            help="With --bands: multiplications that may be added.  [default: 10%]",
        ),
        click.option(
            "--arena", type=Size(), metavar="SIZE",
            help="With --bands: an arena that is small enough; the fewest multiplications that reach it are chosen.",
        ),
        click.option(
            "--form", type=click.Choice(_FORMS),
            help="With --bands: how they are written. explicit: as slices and concatenations, legal TFLite anywhere. views: "
            "without copies, right in TFLM alone and with the plan in the file alone. loop: so too, and equal bands as one "
            "loop.  [default: explicit]",
        ),
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


def with_bands(
    content: bytes,
    kernels: str,
    profile: Profile | None,
    max_extra_macs: float | None,
    arena: int | None,
    form: str | None,
    name: str,
    inputs: int | None = None,
) -> tuple[BandsReport, bytes]:
    """The report, and the file to write once it is shown to be right on so many `inputs` (see `firmware_sim.rewrite.proof`).

    Raises:
        ModelError: see `firmware_sim.rewrite.bands.run.bands`.
        InternalError: the rewritten model is wrong.
    """
    from firmware_sim.report.bands import BandsReport
    from firmware_sim.rewrite.bands.forms import EXPLICIT
    from firmware_sim.rewrite.bands.proof import prove_tensors
    from firmware_sim.rewrite.bands.run import MAX_EXTRA_MACS
    from firmware_sim.rewrite.bands.run import bands as rewrite
    from firmware_sim.rewrite.proof import attempt

    progress = _Progress()
    found = rewrite(
        content,
        kernels=kernels,
        profile=profile,
        max_extra_macs=MAX_EXTRA_MACS if max_extra_macs is None else max_extra_macs,
        arena_bytes=arena,
        form=form or EXPLICIT,
        name=name,
        progress=progress.show,
    )
    after = found.shrunk.content
    progress.show("comparing outputs in TFLM")
    try:
        proof, unproven = attempt(content, after, name=name, inputs=inputs)
        progress.show("comparing tensors in TFLM")
        tensors = prove_tensors(content, after, name=name) if found.form and proof else None
    finally:
        progress.end()
    return BandsReport(found, proof, tensors, unproven), after


class _Progress:
    """One line on a terminal, nothing anywhere else."""

    def __init__(self) -> None:
        self.is_on = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self.is_on:
            click.echo(f"\r\x1b[K{text}", nl=False, err=True)

    def end(self) -> None:
        if self.is_on:
            click.echo("\r\x1b[K", nl=False, err=True)
