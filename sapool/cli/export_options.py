"""How `sapool export` calibrates and compares: the options, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from exporters.compare import Comparison
    from exporters.tflite import TfliteModel

Command = TypeVar("Command", bound=Callable[..., Any])

# The names of exporters.quantize.estimators, which needs torch; a test compares them.
METHODS = ("mse", "minmax", "percentile")
_IMAGES = 32


def calibration_options(command: Command) -> Command:
    """Add `--calibration-method`, `--bias-correction` and `--equalise`."""
    for option in (
        click.option(
            "--equalise/--no-equalise", default=False, show_default=True,
            help="Scale channels in front of depthwise convolutions alike, where that is exact (not across ReLU6).",
        ),
        click.option(
            "--bias-correction/--no-bias-correction", default=True, show_default=True,
            help="Let biases make up for what int8 does to mean outputs.",
        ),
        click.option(
            "--calibration-method", type=click.Choice(METHODS), default=METHODS[0], show_default=True,
            help="How the range of each tensor follows from the calibration images.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def compare_options(command: Command) -> Command:
    """Add `--compare`, `--compare-images` and `--compare-output`."""
    for option in (
        click.option(
            "--compare-output", "compare_outputs", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE", callback=_checked,
            help="Write the comparison to a file, by its suffix .txt, .json, .csv, .html or .svg; may be repeated.",
        ),
        click.option(
            "--compare-images", type=click.IntRange(1), default=_IMAGES, show_default=True, metavar="N",
            help="Compare on N of the calibration images.",
        ),
        click.option(
            "--compare", is_flag=True,
            help="Show for each layer how far int8 is from float, the layers that lose most first.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison that was asked for: on how many images, and the files to write."""

    images: int
    outputs: tuple[Path, ...]

    def run(self, model: TfliteModel, images: NDArray[np.uint8]) -> Comparison:
        """Compare on some of the images [N, H, W, C], pixels; shows a bar."""
        from exporters.compare import compare
        from sapool.calibration import choose
        from sapool.data.preprocessing import to_float
        from sapool.training.progress import share_bar

        chosen = choose(images, count=self.images)
        with share_bar("comparing") as show:
            return compare(
                model.content, model.float_graph, model.graph, [to_float(chosen)],
                progress=lambda done: show(done, done / len(chosen)),
            )  # fmt: skip

    def write(self, comparison: Comparison, name: str) -> None:
        """Write the files."""
        from exporters.compare import format_of, render
        from sapool.cli.options import emit

        for path in self.outputs:
            emit(render(comparison, format_of(path), name=name), path)

    def text(self, comparison: Comparison, name: str) -> str:
        """For a terminal."""
        from exporters.compare import render

        return render(comparison, name=name)

    def as_dict(self, comparison: Comparison, name: str) -> dict[str, Any]:
        """For the JSON report."""
        from exporters.compare.json import as_dict

        return as_dict(comparison, name)


def _checked(ctx: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The paths, if each suffix says how to write it."""
    if paths:
        from exporters.compare import format_of

        for path in paths:
            format_of(path)
    return paths
