"""A model in bands and the report of it, with everything that shows that it computes the same."""

from __future__ import annotations

from firmware_sim.overlap.rules import ANY
from firmware_sim.profiles import Profile
from firmware_sim.report.bands import BandsReport
from firmware_sim.rewrite.bands.forms import EXPLICIT
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import MAX_EXTRA_MACS, bands
from firmware_sim.rewrite.bands.search import Progress
from firmware_sim.rewrite.proof import Comparison, taken_inputs


def proven(
    content: bytes,
    *,
    kernels: str = ANY,
    profile: Profile | None = None,
    max_extra_macs: float | None = None,
    arena_bytes: int | None = None,
    form: str | None = None,
    name: str = "<bytes>",
    inputs: int | None = None,
    int8_input: bool = False,
    progress: Progress = lambda _: None,
) -> BandsReport:
    """Rewrite a model and compare; the file is `BandsReport.banded.shrunk.content`.

    Args:
        content: a .tflite file.
        kernels: the kernel class whose builds are to run it.
        profile: the build whose arena is to be small; by default the first of the class.
        max_extra_macs: multiply-accumulates that may be added, as a share of those that there are; None for the usual share.
        arena_bytes: an arena that is small enough: with the fewest multiplications that reach it.
        form: how bands are written, one of `firmware_sim.rewrite.bands.forms.FORMS`; None for what is right anywhere.
        name: what to call the model.
        inputs: how many inputs to compare in TFLM; see `firmware_sim.rewrite.proof.prove`.
        int8_input: let the model take int8 where it quantises its input at once; this changes its interface.
        progress: told what goes on.

    Raises:
        ModelError, UsageError: see `firmware_sim.rewrite.bands.run.bands`.
        InternalError: the new file computes something else in TFLM or in LiteRT.
    """
    share = MAX_EXTRA_MACS if max_extra_macs is None else max_extra_macs
    taken = taken_inputs(content, name=name, int8_input=int8_input)
    with Comparison(content, name=name, inputs=inputs, taken=taken) as comparison:
        found = bands(
            content, kernels=kernels, profile=profile, max_extra_macs=share, arena_bytes=arena_bytes,
            form=form or EXPLICIT, name=name, progress=progress, int8_input=int8_input,
        )  # fmt: skip
        after = found.shrunk.content
        progress("comparing outputs in TFLM")
        proof, unproven = comparison.attempt(after)
        tensors = None
        if found.form and proof:
            progress("comparing tensors in TFLM")
            tensors = prove_tensors(content, after, name=name, workers=comparison.workers)
    return BandsReport(found, proof, tensors, unproven)
