"""`sapool prune`: a trained network becomes one that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware_sim import sizes
from sapool.cli.bands_options import extra_macs_option, form_option
from sapool.cli.data_options import open_data
from sapool.cli.options import emit, plan_option, report_options
from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.checkpoint import Checkpoint
    from sapool.compress.budget import Budget
    from sapool.data import DataSet


@click.command(name="prune")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--arena", help='What the arena in TFLM may take: "48KiB", "48kB", or bytes.')
@click.option("--flash", help="What the exported file may take.")
@click.option("--macs", type=click.IntRange(1), help="Most multiply-accumulates of one inference.")
@click.option("--ratio", type=float, help="Instead of a budget: the share of the channels that leaves every layer.")
@click.option(
    "--target", "-t", metavar="BOARD|PROFILE",
    help="Whose TFLM the arena is for: a board, or a profile; by default host64.",
)  # fmt: skip
@plan_option
@extra_macs_option("--plan bands")
@form_option("--plan bands")
@click.option(
    "--importance", "kind", type=click.Choice(["magnitude", "bn", "taylor", "hessian"]), default="magnitude",
    show_default=True, help="What a channel is worth: taylor and hessian need --data.",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(1), default=1, show_default=True, help="In how many steps.")
@click.option("--data", metavar="SOURCE", help="Train on after each step: digits, a folder or an archive.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Length of these trainings.")
@click.option("--lr", "learning_rate", type=float, default=2e-3, show_default=True, help="Of these trainings.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of these trainings.")
@click.option(
    "--save", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The pruned checkpoint; by default pruned.safetensors beside CHECKPOINT.",
)  # fmt: skip
@report_options(["text", "json"])
def command(
    checkpoint: Path,
    arena: str | None,
    flash: str | None,
    macs: int | None,
    ratio: float | None,
    target: str | None,
    plan_name: str,
    max_extra_macs: float | None,
    form: str | None,
    kind: str,
    steps: int,
    data: str | None,
    epochs: int,
    learning_rate: float,
    seed: int,
    save: Path | None,
    format_: str,
    output: Path | None,
) -> None:
    """Remove channels of CHECKPOINT until it keeps a budget.

    \b
    sapool prune run/model.safetensors --arena 48KiB --target nrf52840
    sapool prune run/model.safetensors --arena 48KiB --data flowers.tar --importance taylor --steps 4
    sapool prune run/model.safetensors --arena 48KiB --target nrf52840 --plan overlap
    sapool prune run/model.safetensors --flash 256KiB --save small.safetensors

    Channels leave where they lower the predicted arena of TFLM (or the file, or the multiply-accumulates, whatever is over
    its limit) most for what they are worth. The report says after each step which layers held the peak and which channels
    went. The result is trained on with 'sapool train --weights', exported and pruned again like any checkpoint; the widths
    are in its specification.

    Exit code 1 if the budget is out of reach: what can be reached is said, and which layer holds it.
    """
    from firmware_sim.targets import resolve

    profile, _ = resolve(target or "host64")
    goal = _goal(arena, flash, macs, ratio)
    path = save or checkpoint.with_name("pruned.safetensors")
    from sapool import calibration
    from sapool.checkpoint import load
    from sapool.checkpoint import save as write
    from sapool.compress import require
    from sapool.training.progress import share_bar

    require()
    from sapool.compress.pruning import header, prune
    from sapool.compress.pruning_report import as_dict, as_text
    from sapool.plans import named
    from sapool.training.config import FitConfig

    loaded = load(checkpoint)
    dataset = None if data is None else _opened(data, loaded)
    config = FitConfig(epochs=epochs, learning_rate=learning_rate, seed=seed)
    with share_bar("pruning", unit="steps") as show:
        result = prune(
            loaded, goal, profile=profile.id, kind=kind, steps=steps, dataset=dataset, config=config, progress=show,
            plan=named(plan_name, profile.id if target else None, max_extra_macs, form),
        )  # fmt: skip
    pruned = result.checkpoint
    write(path, pruned.model, pruned.spec, labels=pruned.labels, extra=header(result, loaded.header))
    images, copied = calibration.beside(checkpoint), calibration.beside(path)
    if images.exists() and images.resolve() != copied.resolve():
        calibration.save(copied, calibration.load(images))
    click.echo(f"wrote {path}", err=True)
    content = as_dict(result, path)
    emit(json.dumps(content, indent=2, ensure_ascii=False) if format_ == "json" else as_text(result, path), output)


def _goal(arena: str | None, flash: str | None, macs: int | None, ratio: float | None) -> Budget | float:
    from sapool.compress.budget import Budget

    limits = (None if arena is None else sizes.parse(arena), None if flash is None else sizes.parse(flash), macs)
    if ratio is None:
        return Budget(*limits)
    if limits != (None, None, None):
        raise UsageError("--ratio takes the place of a budget", hint="give one of them")
    return ratio


def _opened(data: str, loaded: Checkpoint) -> DataSet:
    """The data, split as when the network was trained."""
    seed = loaded.header.get("split_seed") or 0
    return open_data(
        data, resolution=loaded.spec.resolution, channels=loaded.spec.channels, seed=seed, skip_broken=False
    )
