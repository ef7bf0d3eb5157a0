"""How `sapool export` shrinks what it writes, in bands or without: the options, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sapool.cli.bands_options import bands_option, extra_macs_option, form_option, status_line
from sapool.errors import UsageError

if TYPE_CHECKING:
    from exporters.tflite import TfliteModel
    from firmware_sim.report.bands import BandsReport
    from firmware_sim.report.shrink import ShrinkReport
    from sapool.checkpoint import Checkpoint

Command = TypeVar("Command", bound=Callable[..., Any])


def shrink_options(command: Command) -> Command:
    """Add `--shrink`, `--bands`, `--max-extra-macs` and `--form`."""
    for option in (
        form_option("--bands"),
        extra_macs_option("--bands"),
        bands_option,
        click.option(
            "--shrink/--no-shrink", default=None,
            help="Let outputs overlap inputs that are no longer needed, so that the arena is smaller and the outputs are "
            "the same; as sapool shrink. By default on for the presets nano, tiny, small and medium.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: `shrink` is None where nothing was said, `max_extra_macs` and `form` where what is usual is right.

    Raises:
        UsageError: what was asked for does not go together, or not with what is written.
    """

    target: str
    shrink: bool | None
    bands: bool
    max_extra_macs: float | None
    form: str | None = None

    def __post_init__(self) -> None:
        for option, value in (("--max-extra-macs", self.max_extra_macs), ("--form", self.form)):
            if value is not None and not self.bands:
                raise UsageError(f"{option} is of bands", hint="give --bands as well")
        if self.bands and self.shrink is False:
            raise UsageError("bands are of no use without a memory plan", hint="leave --no-shrink out")
        if self.target in ("onnx", "onnx-int8") and (self.shrink or self.bands):
            name = "--bands" if self.bands else "--shrink"
            raise UsageError("an ONNX file has no memory plan", hint=f"{name} is for tflite-int8 and tflm-c")


@dataclass(frozen=True, slots=True)
class Shrinking:
    """The model to write; `report` is None if it was not to be shrunk, `bands` if there were to be none."""

    model: TfliteModel
    report: ShrinkReport | None
    bands: BandsReport | None = None

    @property
    def is_for_tflm_alone(self) -> bool:
        """The model is in bands that nothing but TFLM computes, with the plan in it."""
        from firmware_sim.rewrite.bands.forms import EXPLICIT

        return self.bands is not None and self.bands.banded.form not in (None, EXPLICIT)

    def as_dict(self) -> dict[str, Any] | None:
        """For the JSON report."""
        if self.report is None:
            return None
        found, proof = self.report.shrunk, self.report.proof
        before, after = found.before.arena, found.after.arena
        return {
            "kernels": found.kernels,
            "profile": found.before.profile.id,
            "changed": found.is_changed,
            "before": {"head_bytes": before.head_bytes, "total_bytes": before.total_bytes},
            "after": {"head_bytes": after.head_bytes, "total_bytes": after.total_bytes},
            "bound_bytes": found.bound_bytes,
            "floor_bytes": found.floor_bytes,
            "builds": [asdict(build) for build in found.builds],
            "passes": [use.name for use in found.passes],
            "safe_with": list(found.libraries),
            "proof": None if proof is None else asdict(proof),
            "unproven": self.report.unproven or None,
            "notes": list(found.notes),
        }

    def bands_dict(self) -> dict[str, Any] | None:
        """What bands are in the model and what they cost, for the JSON report."""
        if self.bands is None:
            return None
        from firmware_sim.report.bands.json import as_dict

        content = as_dict(self.bands)
        del content["schema"], content["shrink"]  # that is the key beside this one
        return content


def shrinking(loaded: Checkpoint, model: TfliteModel, wanted: Wanted, profile: str | None, name: str) -> Shrinking:
    """Shrink a model if that is wanted, or by default right for its network."""
    from sapool.export import banded, shrinks_by_default, shrunk

    if wanted.bands:
        with status_line() as show:
            small, report = banded(
                model, profile=profile, max_extra_macs=wanted.max_extra_macs, form=wanted.form, name=name, progress=show
            )  # fmt: skip
        return Shrinking(small, report.shrink, report)
    if not (shrinks_by_default(loaded.spec) if wanted.shrink is None else wanted.shrink):
        return Shrinking(model, None)
    return Shrinking(*shrunk(model, profile=profile, name=name))


def shrink_lines(done: dict[str, Any] | None) -> list[str]:
    """Before and after, and for which kernels it holds."""
    if done is None:
        return []
    if not done["changed"]:
        return [f"  shrink    nothing to gain with {done['kernels']} kernels; {'; '.join(done['notes'])}"]
    before, after = done["before"], done["after"]
    proof = done["proof"]
    shown = f"same outputs for {proof['inputs']} inputs in TFLM" if proof else f"not run in TFLM: {done['unproven']}"
    more = ""
    if after["total_bytes"] == before["total_bytes"]:
        best = max(done["builds"], key=lambda build: build["total_before_bytes"] - build["total_after_bytes"])
        saved = best["total_before_bytes"] - best["total_after_bytes"]
        more = f" ({best['profile']} needs {saved:,} less)"
    line = (
        f"  shrink    arena {before['total_bytes']:,} -> {after['total_bytes']:,} bytes{more}, head "
        f"{before['head_bytes']:,} -> {after['head_bytes']:,}; {shown}"
    )
    if not {"overlap", "bands"}.intersection(done["passes"]):
        return [line]
    return [
        line,
        f"  kernels   the memory plan is for {', '.join(done['safe_with'])}; outputs may be wrong with other libraries "
        "(--no-shrink holds for any)",
    ]


def bands_lines(done: dict[str, Any] | None) -> list[str]:
    """Which layers are in bands and what that costs, or why there are none."""
    if done is None:
        return []
    if done["form"] is None:
        return [f"  bands     none: {done['reason']}"]
    from firmware_sim.rewrite.bands.forms import EXPLICIT, FORMS

    stages = [f"{stage['rows']} rows as {'+'.join(map(str, stage['heights']))}" for stage in done["stages"]]
    chosen = next(rung["macs"] for rung in done["ladder"] if rung["chosen"])
    compared = done["tensors_compared"]
    shown = f"; {compared['compared']} of {compared['tensors']} tensors between the layers compared" if compared else ""
    return [
        f"  bands     {'; '.join(stages)}; {chosen / done['macs'] - 1:+.1%} multiply-accumulates{shown}",
        *([f"  written   as {done['form']}: {FORMS[done['form']]}"] if done["form"] != EXPLICIT else []),
        *(
            [f"  register  {', '.join(done['new_operators'])} in the op resolver as well"]
            if done["new_operators"]
            else []
        ),
    ]
