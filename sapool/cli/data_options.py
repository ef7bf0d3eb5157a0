"""How commands name a data set, and how they read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from sapool.data import DataSet
    from sapool.data.checks import Duplicate

Command = TypeVar("Command", bound=Callable[..., Any])

_NAMED: Final = 10


def data_options(command: Command) -> Command:
    """Add `--data`, `--split-seed`, `--skip-broken` and `--no-cache`."""
    command = click.option(
        "--cache/--no-cache",
        default=True,
        help="Whether to keep the decoded images in SAPOOL_CACHE, by default ~/.cache/sapool.",
    )(command)
    command = click.option(
        "--skip-broken",
        is_flag=True,
        help="Leave out images that do not decode, and name them; by default they are refused.",
    )(command)
    command = click.option(
        "--split-seed",
        type=click.IntRange(0),
        help="Of the split, where the data lacks parts; 0 by default. A network has to be evaluated with the seed that it "
        "was trained with.",
    )(command)
    return click.option(
        "--data",
        required=True,
        metavar="SOURCE",
        help="digits, a folder of class folders, or an archive of one (.tar, .tar.gz, .tar.xz, .zip), with or without "
        "train, val and test around the class folders; or a folder of idx files.",
    )(command)


def open_data(
    source: str, *, resolution: int, channels: int, seed: int, skip_broken: bool, cache: bool = True
) -> DataSet:
    """Read a data set under a progress bar; what was skipped is named on standard error."""
    from sapool import data
    from sapool.data.cache import default_folder
    from sapool.training.progress import share_bar

    with share_bar(f"reading {source}") as progress:
        dataset = data.open(
            source,
            resolution=resolution,
            channels=channels,
            seed=seed,
            on_broken="skip" if skip_broken else "error",
            cache_folder=default_folder() if cache else None,
            progress=progress,
        )
    if dataset.skipped:
        click.echo(f"skipped {len(dataset.skipped)} images that do not decode:", err=True)
        for line in dataset.skipped[:_NAMED]:
            click.echo(f"  {line}", err=True)
        if len(dataset.skipped) > _NAMED:
            click.echo(f"  and {len(dataset.skipped) - _NAMED} more", err=True)
    return dataset


def tell_checks(dataset: DataSet, found: Sequence[Duplicate]) -> None:
    """How the classes are filled, and what lies in two parts, on standard error."""
    from sapool.data.checks import balance_text

    click.echo(balance_text(dataset), err=True)
    for parts, count in Counter(one.parts for one in found).items():
        examples = [one for one in found if one.parts == parts]
        other = sum(not one.same_class for one in examples)
        click.echo(
            f"warning: {count} images of {parts[1]} are also in {parts[0]}"
            + (f", {other} of them in another class" if other else ""),
            err=True,
        )
        for one in examples[:_NAMED]:
            click.echo(f"  {one.names[1]} = {one.names[0]}", err=True)
