"""`sapool evaluate`: how well a checkpoint or an exported file does, or which of two does better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sapool.cli.data_options import data_options, open_data
from sapool.cli.options import emit, report_options
from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.training import Evaluation, Predictor

_MODEL = click.Path(path_type=Path)


@click.command(name="evaluate")
@click.argument("model", type=_MODEL, required=False)
@data_options
@click.option(
    "--compare", nargs=2, type=_MODEL, metavar="A B",
    help="Evaluate two files on the same images, and test whether they differ.",
)  # fmt: skip
@click.option(
    "--split", "part", type=click.Choice(["test", "val", "train"]), default="test", show_default=True,
    help="The part of the data to evaluate on.",
)  # fmt: skip
@click.option(
    "--runtime", type=click.Choice(["torch", "onnxruntime", "litert", "tflm"]),
    help="What runs the network; .tflite files run in LiteRT's reference kernels by default.",
)  # fmt: skip
@click.option(
    "--confusion", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.png",
    help="Draw the confusion matrix into this file; its numbers are in the JSON report.",
)  # fmt: skip
@report_options(["text", "json"])
def command(
    model: Path | None,
    data: str,
    split_seed: int | None,
    skip_broken: bool,
    cache: bool,
    compare: tuple[Path, Path] | None,
    part: str,
    runtime: str | None,
    confusion: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Measure the accuracy of MODEL, a .safetensors, .onnx or .tflite file.

    \b
    sapool evaluate run/model.safetensors --data digits
    sapool evaluate model.tflite --data digits --runtime tflm --format json --confusion confusion.png
    sapool evaluate --compare run/model.safetensors model.tflite --data digits

    The images are prepared in the same way for each kind of file, at the resolution that the file asks for. The report says
    which data its numbers come from. Intervals are Wilson's, the calibration error is that of 15 bins (ECE), and the test of
    --compare is McNemar's, exact.
    """
    from sapool.training import load
    from sapool.training.report import render

    if (model is None) == (compare is None):
        raise UsageError("give one MODEL, or two with --compare A B")
    if confusion is not None and compare is not None:
        raise UsageError("--confusion draws the matrix of one MODEL, not of two")
    predictors = [load(path, runtime=runtime) for path in (compare or (model,)) if path is not None]
    seed = _seed(split_seed, predictors)
    results = [
        _evaluate(predictor, data, part, seed=seed, skip_broken=skip_broken, cache=cache) for predictor in predictors
    ]
    if compare is not None:
        from sapool.training.comparison import compare as paired

        emit(render(paired(*results), format_), output)
        return
    if confusion is not None:
        from firmware_sim.files import write_atomic
        from sapool.training.confusion_picture import confusion_png

        click.echo(f"wrote {write_atomic(confusion, confusion_png(results[0]))}", err=True)
    emit(render(results[0], format_), output)


def _evaluate(predictor: Predictor, data: str, part: str, *, seed: int, skip_broken: bool, cache: bool) -> Evaluation:
    from sapool.training import evaluate
    from sapool.training.progress import share_bar

    dataset = open_data(
        data,
        resolution=predictor.resolution,
        channels=predictor.channels,
        seed=seed,
        skip_broken=skip_broken,
        cache=cache,
    )
    with share_bar(f"evaluating in {predictor.runtime}") as progress:
        return evaluate(predictor, dataset.split(part), dataset.classes, progress=progress)


def _seed(asked: int | None, predictors: list[Predictor]) -> int:
    """The seed of the split: the one asked for, else the one that the first network was trained with, else 0."""
    trained = [predictor.split_seed for predictor in predictors if predictor.split_seed is not None]
    seed = asked if asked is not None else trained[0] if trained else 0
    for predictor in predictors:
        if predictor.split_seed not in (None, seed):
            click.echo(
                f"warning: {predictor.name} was trained with split seed {predictor.split_seed}, not {seed}: where the data "
                "is split by it, the images may be ones that it was trained on",
                err=True,
            )
    return seed
