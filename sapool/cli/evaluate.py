"""`sapool evaluate`: how well a checkpoint or an exported file does."""

from __future__ import annotations

from pathlib import Path

import click

from sapool.cli.data_options import data_options, open_data
from sapool.cli.options import emit, report_options


@click.command(name="evaluate")
@click.argument("model", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--split", "part", type=click.Choice(["test", "val", "train"]), default="test", show_default=True,
    help="The part of the data to evaluate on.",
)  # fmt: skip
@click.option(
    "--runtime", type=click.Choice(["torch", "onnxruntime", "litert", "tflm"]),
    help="What runs the network; .tflite files run in LiteRT's reference kernels by default.",
)  # fmt: skip
@report_options(["text", "json"])
def command(
    model: Path,
    data: str,
    split_seed: int | None,
    skip_broken: bool,
    part: str,
    runtime: str | None,
    format_: str,
    output: Path | None,
) -> None:
    """Measure the accuracy of MODEL, a .safetensors, .onnx or .tflite file.

    \b
    sapool evaluate run/model.safetensors --data digits
    sapool evaluate model.tflite --data digits --runtime tflm --format json

    The images are prepared in the same way for each kind of file, at the resolution that the file asks for.
    """
    from sapool.training import evaluate, load
    from sapool.training.progress import share_bar
    from sapool.training.report import render

    predictor = load(model, runtime=runtime)
    seed = _seed(split_seed, predictor.split_seed)
    dataset = open_data(
        data, resolution=predictor.resolution, channels=predictor.channels, seed=seed, skip_broken=skip_broken
    )
    with share_bar(f"evaluating in {predictor.runtime}") as progress:
        result = evaluate(predictor, dataset.split(part), dataset.classes, progress=progress)
    emit(render(result, format_), output)


def _seed(asked: int | None, trained: int | None) -> int:
    """The seed of the split: the one asked for, else the one that the network was trained with, else 0."""
    if asked is None:
        return trained or 0
    if trained is not None and trained != asked:
        click.echo(
            f"warning: the network was trained with split seed {trained}, not {asked}: where the data is split by it, "
            "the images may be ones that it was trained on",
            err=True,
        )
    return asked
