"""`sapool shrink`: less arena for a .tflite file in stock TFLM, with the same outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sapool.cli.bands_options import bands_options, status_line, wants_bands
from sapool.cli.options import emit

if TYPE_CHECKING:
    from firmware_sim.profiles import Profile

# The names stand here because the library is imported when the command runs.
_PASSES = {
    "fold-pad": "Keep PAD operators in front of convolutions.",
    "clean": "Keep what does nothing.",
    "reorder": "Keep the order of the operators.",
    "overlap": "Let no output overlap an input: the plan then holds for any kernels.",
    "plan": "Leave the memory plan to TFLM.",
}
_KERNELS = ("reference", "cmsis-nn", "cmsis-nn-dsp", "cmsis-nn-mve", "any")
_FORMATS = ("text", "json", "html", "svg", "flow")


def _switches(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, text in reversed(_PASSES.items()):
        command = click.option(f"--no-{name}", name.replace("-", "_"), is_flag=True, help=text)(command)
    return command


@click.command(name="shrink")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the new model here; without it nothing is written but the report.",
)  # fmt: skip
@click.option(
    "--kernels", type=click.Choice(_KERNELS),
    help="The kernels that will run it; by default those of the target, or any of these without a target.",
)  # fmt: skip
@click.option(
    "--target", "-t", metavar="BOARD|PROFILE",
    help="A board (see 'sapool targets') or a profile: its kernels are used, and its figures are reported.",
)  # fmt: skip
@click.option(
    "--format",
    "format_",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="How to write the report.",
)
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the report to this file; standard output otherwise.",
)  # fmt: skip
@click.option(
    "--inputs", type=click.IntRange(1), metavar="N",
    help="Compare on N inputs. By default, and at least, 100 where a file is written; else as many of 100 as take about a "
    "second, and no less than 10.",
)  # fmt: skip
@click.option(
    "--int8-input", is_flag=True,
    help="Where the model quantises a float32 or uint8 input at once, let it take int8. The application has to give it "
    "that; the report says with which scale and zero point.",
)  # fmt: skip
@bands_options
@_switches
def command(
    model: Path,
    output: Path | None,
    kernels: str | None,
    target: str | None,
    format_: str,
    report: Path | None,
    inputs: int | None,
    int8_input: bool,
    bands: bool,
    max_extra_macs: float | None,
    arena: int | None,
    form: str | None,
    **switches: bool,
) -> None:
    """Rewrite MODEL, a .tflite file, so that stock TensorFlow Lite Micro needs less arena for the same outputs.

    \b
    sapool shrink model.tflite -o small.tflite --kernels cmsis-nn-dsp
    sapool shrink model.tflite -o small.tflite --target stm32f746
    sapool shrink model.tflite --kernels reference --format html --report shrink.html

    The new file carries a memory plan in which outputs overlap inputs that are no longer needed. Such a plan holds for the
    kernels that it was made for: one for reference kernels computes garbage with CMSIS-NN. Without --kernels and --target
    the plan holds for all kernels in the list, and gains less.

    Before anything is written, both files are run in TFLM on 100 random and extreme inputs (with sapool[tflm] installed;
    otherwise the report says that it was not done), and the plan is replayed operator by operator for its kernels.

    With --bands, early layers are computed in bands of rows besides, which takes about half of the arena for a few
    more multiplications. The file stays legal TFLite; the firmware registers SLICE and CONCATENATION as well. With
    --form views or loop the copies are left out, and the file is right in TFLM alone.

    --int8-input changes what the application gives to the model, and is for files that convert a float32 input themselves:
    a float input takes four times as much as its int8 copy, and has to be there as a whole.
    """
    from firmware_sim.errors import UsageError
    from firmware_sim.files import write_atomic
    from firmware_sim.rewrite.proof import INPUTS, Comparison, taken_inputs

    if output is not None:
        inputs = INPUTS if inputs is None else inputs
        if inputs < INPUTS:
            raise UsageError(f"{inputs} inputs are not enough to write a file", hint=f"give at least {INPUTS}")
    wanted, profile = _wanted(kernels, target)
    content = _load(model)
    without = [name for name in _PASSES if switches[name.replace("-", "_")]]
    if wants_bands(bands, format_, max_extra_macs, arena, form, without):
        from firmware_sim.report.bands import render as render_bands
        from firmware_sim.report.bands.proven import proven

        with status_line() as show:
            in_bands = proven(
                content, kernels=wanted, profile=profile, max_extra_macs=max_extra_macs, arena_bytes=arena, form=form,
                name=str(model), inputs=inputs, int8_input=int8_input, progress=show,
            )  # fmt: skip
        if output is not None:
            write_atomic(output, in_bands.banded.shrunk.content)
            click.echo(f"wrote {output}", err=True)
        emit(render_bands(in_bands, format_), report)
        return
    taken = taken_inputs(content, name=str(model), int8_input=int8_input)
    with Comparison(content, name=str(model), inputs=inputs, taken=taken) as comparison:
        # While TFLM is being loaded.
        from firmware_sim.report.shrink import ShrinkReport, render
        from firmware_sim.rewrite.shrink import shrink

        shrunk = shrink(
            content, kernels=wanted, profile=profile, without=without, name=str(model), int8_input=int8_input
        )  # fmt: skip
        result = ShrinkReport(shrunk, *comparison.attempt(shrunk.content))
    if output is not None:
        write_atomic(output, shrunk.content)
        click.echo(f"wrote {output}", err=True)
    emit(render(result, format_), report)


def _wanted(kernels: str | None, target: str | None) -> tuple[str, Profile | None]:
    from firmware_sim.overlap.rules import ANY, class_of
    from firmware_sim.targets import resolve

    if target is None:
        return kernels or ANY, None
    profile, _ = resolve(target)
    return kernels or class_of(profile), profile


def _load(model: Path) -> bytes:
    from firmware_sim.reader import load

    return load(model)
