"""`sapool train`: a data set and a specification become a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapool.cli.data_options import data_options, open_data
from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.spec import ModelSpec
    from sapool.training.run import Run
    from sapool.training.start import Start


@click.command(name="train")
@data_options
@click.option(
    "--model",
    required=True,
    metavar="SPEC",
    help="Backbone, pooling and strides, or a preset; `sapool models` lists them.",
)
@click.option("--width", type=float, help="Multiplier of the channels.")
@click.option("--resolution", type=int, help="Height and width of the images, in pixels.")
@click.option(
    "--weights",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Start from this file: a state dict of torchvision or timm (.pth, .safetensors), or a checkpoint.",
)
@click.option("--new-classifier", is_flag=True, help="Leave the classifier of --weights out, for other classes.")
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
    weights: Path | None,
    new_classifier: bool,
    output: Path,
    **recipe: int | float | str | None,
) -> None:
    """Train a network and keep its best epoch.

    \b
    sapool train --data digits --model mobilenet_v2-self_attentive-2211111 --width 0.35
    sapool train --data flowers.tar --model mobilenet_v2-average-2221111 --resolution 64 -o flowers
    sapool train --data flowers.tar --model mobilenet_v2-average:padding=symmetric --resolution 128 \\
        --weights mobilenet_v2-b0353104.pth --new-classifier

    Writes model.safetensors, calibration.npy (images for `sapool export`), metrics.csv and summary.json into the folder.
    Weights are learned on the train part, the epoch is chosen on val, and the accuracy that is printed comes from test,
    which is looked at once, at the end. Parts that the data lacks are split off, the same way for the same --split-seed.
    """
    from sapool.spec import parse
    from sapool.training.config import FitConfig

    # Everything that can be wrong without looking at an image is found before one is read.
    spec = parse(model).with_settings(width=width, resolution=resolution)
    config = FitConfig(**{name: value for name, value in recipe.items() if value is not None})  # type: ignore[arg-type]
    start = _start(spec, weights, new_classifier)
    _prepare(output)
    seed = 0 if split_seed is None else split_seed
    dataset = open_data(data, resolution=spec.resolution, channels=spec.channels, seed=seed, skip_broken=skip_broken)

    from sapool.training.progress import fit_progress
    from sapool.training.run import save, train

    run = train(spec, dataset, config, split_seed=seed, start=start, progress=fit_progress())
    _tell(run, save(run, output))


def _start(spec: ModelSpec, weights: Path | None, new_classifier: bool) -> Start | None:
    """What --weights means, checked and told; the classes are only known when the data is."""
    if weights is None:
        if new_classifier:
            raise UsageError("--new-classifier is about --weights", hint="name a file with --weights")
        return None
    from sapool.training.start import Start

    start = Start(weights, "new" if new_classifier else "load")
    loaded = start.check(spec)
    click.echo(f"weights of {loaded.source}: {len(loaded.loaded)} tensors from {weights}", err=True)
    for what, names in (("new", loaded.new), ("not used", loaded.dropped)):
        parts = dict.fromkeys(_part(name) for name in names)
        if not new_classifier:
            parts.pop("classifier", None)
        if parts:
            click.echo(f"  {what}: {', '.join(parts)}", err=True)
    return start


def _part(name: str) -> str:
    """The part of the network that a tensor belongs to: stages.2.pool, stages.4.blocks.1, classifier."""
    parts = name.split(".")
    return ".".join(parts[: {"blocks": 4, "pool": 3}.get(parts[2], 2)] if parts[0] == "stages" else parts[:1])


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
