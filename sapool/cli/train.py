"""`sapool train`: a data set and a specification become a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapool.cli.data_options import data_options, open_data
from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.training.run import Run


@click.command(name="train")
@data_options
@click.option(
    "--model", required=True, metavar="SPEC", help="Backbone, pooling and strides; `sapool models` lists them."
)
@click.option("--width", type=float, help="Multiplier of the channels.")
@click.option("--resolution", type=int, help="Height and width of the images, in pixels.")
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images a step.")
@click.option("--lr", "learning_rate", type=float, help="Highest learning rate.")
@click.option("--seed", type=int, help="Of the weights, the order of the images and their augmentation.")
@click.option("--threads", type=int, help="Threads of torch on the CPU; one by default.")
@click.option("--accelerator", type=click.Choice(["auto", "cpu", "gpu"]), help="What to train on.")
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), default="run", show_default=True,
    help="Folder for the results.",
)  # fmt: skip
def command(
    data: str,
    split_seed: int | None,
    skip_broken: bool,
    model: str,
    width: float | None,
    resolution: int | None,
    output: Path,
    **recipe: int | float | str | None,
) -> None:
    """Train a network and keep its best epoch.

    \b
    sapool train --data digits --model mobilenet_v2-self_attentive-2211111 --width 0.35
    sapool train --data flowers.tar --model mobilenet_v2-average-2221111 --resolution 64 -o flowers

    Writes model.safetensors, calibration.npy (images for `sapool export`), metrics.csv and summary.json into the folder.
    Weights are learned on the train part, the epoch is chosen on val, and the accuracy that is printed comes from test,
    which is looked at once, at the end. Parts that the data lacks are split off, the same way for the same --split-seed.
    """
    from sapool.spec import parse
    from sapool.training.config import FitConfig

    # Everything that can be wrong without looking at an image is found before one is read.
    spec = parse(model).with_settings(width=width, resolution=resolution)
    config = FitConfig(**{name: value for name, value in recipe.items() if value is not None})  # type: ignore[arg-type]
    _prepare(output)
    seed = 0 if split_seed is None else split_seed
    dataset = open_data(data, resolution=spec.resolution, channels=spec.channels, seed=seed, skip_broken=skip_broken)

    from sapool.training.progress import fit_progress
    from sapool.training.run import save, train

    run = train(spec, dataset, config, split_seed=seed, progress=fit_progress())
    _tell(run, save(run, output))


def _prepare(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot be made: {error.strerror or error}", where=output) from error
    if not os.access(output, os.W_OK | os.X_OK):
        raise UsageError("cannot be written to", where=output, hint="choose another folder with --output")


def _tell(run: Run, files: list[Path]) -> None:
    low, high = run.test.interval
    best = run.result.best
    click.echo(f"spec           {run.spec}")
    click.echo(f"best epoch     {best.epoch} of {len(run.result.history)}, {best.val_accuracy:.2%} on val")
    click.echo(f"test accuracy  {run.test.accuracy:.2%}, 95% interval {low:.2%} to {high:.2%}; {run.test.origin}")
    click.echo(f"trained in     {run.result.seconds:.0f} s, {run.result.images_per_second:,.0f} images/s")
    for path in files:
        click.echo(f"wrote {path}", err=True)
