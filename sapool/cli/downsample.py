"""`sapool downsample`: which early downsampling makes a network fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from firmware_sim import sizes
from sapool import catalog
from sapool.cli.bands_options import extra_macs_option, form_option
from sapool.cli.data_options import open_data
from sapool.cli.options import emit, plan_option, report_options
from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.compress.front import Candidate
    from sapool.compress.ranking import Ranked
    from sapool.compress.search import SearchResult

_RESOLUTION_STEP = 16
_WIDTH_STEP = 0.05
_SMALLEST_RESOLUTION = 64


@click.command(name="downsample")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="One of 'sapool models'.")
@click.option(
    "--width", "widths", required=True, metavar="W[,W]...",
    help="The largest multiplier of the channels, from which the search goes down in steps of 0.05; or all of them.",
)  # fmt: skip
@click.option(
    "--resolution", "resolutions", required=True, metavar="N[,N]...",
    help="The largest height and width of the input, from which the search goes down to 64 in steps of 16; or all of them.",
)  # fmt: skip
@click.option("--exact", is_flag=True, help="Search no smaller width and resolution than those given.")
@click.option("--arena", help='What the arena in TFLM may take: "64KiB", "64kB", or bytes.')
@click.option("--flash", help="What the model file may take.")
@click.option("--macs", type=click.IntRange(1), help="Most multiply-accumulates of one inference.")
@click.option(
    "--target", "-t", metavar="BOARD|PROFILE",
    help="Whose TFLM the arena is for: a board, or a profile; by default host64.",
)  # fmt: skip
@plan_option
@extra_macs_option("--plan bands")
@form_option("--plan bands")
@click.option("--pooling", metavar="METHOD[,METHOD]...", help="Methods to search; by default the four usual ones.")
@click.option("--placement", metavar="PLACE[,PLACE]...", help="before, after, end; by default all of them.")
@click.option("--prepool", metavar="N[,N]...", help="Factors of the prepool; by default 1, 2 and 4.")
@click.option("--strides", metavar="DIGITS[,DIGITS]...", help="Stride plans; by default all plans of digits 1 and 2.")
@click.option("--classes", type=click.IntRange(1), default=10, show_default=True, help="Number of outputs.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many networks to show.")
@click.option("--train", "count", type=click.IntRange(1), metavar="N", help="Train the N best briefly, and rank them.")
@click.option("--data", metavar="SOURCE", help="What to train on: digits, a folder or an archive.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Length of these trainings.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of these trainings.")
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw the whole front into this file, an SVG."
)
@report_options(["text", "json", "svg"])
def command(
    backbone: str,
    widths: str,
    resolutions: str,
    exact: bool,
    arena: str | None,
    flash: str | None,
    macs: int | None,
    target: str | None,
    plan_name: str,
    max_extra_macs: float | None,
    form: str | None,
    pooling: str | None,
    placement: str | None,
    prepool: str | None,
    strides: str | None,
    classes: int,
    limit: int,
    count: int | None,
    data: str | None,
    epochs: int,
    seed: int,
    picture: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Search for networks that fit: stride plans, placements, pooling methods, prepools, resolutions and widths.

    \b
    sapool downsample --backbone mobilenet_v1 --width 0.35 --resolution 128 --arena 64KiB --flash 512KiB
    sapool downsample --width 0.35 --resolution 96,112 --arena 96KiB --target nrf52840 --picture front.svg
    sapool downsample --width 0.35 --resolution 64 --arena 128KiB --train 4 --data flowers.tar

    Each network is priced by the exporter and the account that report on a finished file, to the byte. What is shown keeps
    every limit and is beaten by no other network of the search, which would need no more arena and offer as many
    multiply-accumulates and parameters. Each line ends in a specification for 'sapool train --model'.

    Exit code 1 if nothing fits: the smallest network is named then, and the layer that holds its peak.
    """
    from firmware_sim.targets import resolve
    from sapool.compress.budget import Budget
    from sapool.compress.rendering import as_dict, as_picture, as_text
    from sapool.compress.search import search, spread
    from sapool.compress.space import METHODS, PREPOOLS, Space
    from sapool.plans import named

    profile, _ = resolve(target or "host64")
    budget = Budget(None if arena is None else sizes.parse(arena), None if flash is None else sizes.parse(flash), macs)
    if (count is None) != (data is None):
        raise UsageError("--train and --data belong together", hint="give both, or none of them")
    space = Space(
        backbone,
        _widths(widths, exact),
        _resolutions(resolutions, exact),
        _words(pooling) or METHODS,
        _words(placement) or catalog.PLACEMENTS,
        _numbers("--prepool", prepool, int) if prepool else PREPOOLS,
        _words(strides),
        classes,
    )
    from sapool.training.progress import share_bar

    with share_bar("searching", unit="networks") as show:
        plan = named(plan_name, profile.id if target else None, max_extra_macs, form)
        result = search(space, budget, profile=profile.id, plan=plan, progress=show)
    shown = tuple(spread(result.front, limit))
    ranked = None if count is None or data is None else _ranked(result, count, data, epochs, seed)
    if picture is not None:
        emit(as_picture(result), picture)
    if format_ == "svg":
        emit(as_picture(result), output)
    elif format_ == "json":
        emit(json.dumps(as_dict(result, shown, ranked), indent=2), output)
    else:
        emit(as_text(result, shown, ranked), output)


def _ranked(result: SearchResult, count: int, data: str, epochs: int, seed: int) -> tuple[Ranked, ...]:
    from sapool.compress.ranking import rank
    from sapool.training.config import FitConfig
    from sapool.training.progress import share_bar

    # The most multiply-accumulates first: what of the memory buys most computation has most to learn with.
    best: tuple[Candidate, ...] = result.front[:count]
    channels = result.space.channels

    def opened(resolution: int) -> Any:
        return open_data(data, resolution=resolution, channels=channels, seed=0, skip_broken=False)

    with share_bar("training", unit="networks") as show:
        return rank(best, opened, FitConfig(epochs=epochs, seed=seed), progress=show)


def _words(value: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in (value or "").split(","))))


def _numbers(option: str, value: str, kind: type) -> tuple[Any, ...]:
    try:
        return tuple(kind(word) for word in _words(value))
    except ValueError:
        raise UsageError(f"{value!r} are no numbers", where=option, hint="separate them by commas: 0.2,0.35") from None


def _widths(value: str, exact: bool) -> tuple[float, ...]:
    """The numbers given, or from the only one downwards."""
    given = _numbers("--width", value, float)
    if exact or len(given) != 1:
        return given
    steps = int(given[0] / _WIDTH_STEP + 1e-9)
    below = [round(step * _WIDTH_STEP, 2) for step in range(1, steps + 1)]
    return (*(width for width in below if width < given[0]), given[0])


def _resolutions(value: str, exact: bool) -> tuple[int, ...]:
    given = _numbers("--resolution", value, int)
    if exact or len(given) != 1:
        return given
    return tuple(range(given[0], _SMALLEST_RESOLUTION - 1, -_RESOLUTION_STEP)) or given
