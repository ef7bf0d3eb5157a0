"""How a file's own memory plan stands to the kernels of a profile."""

from __future__ import annotations

from typing import NamedTuple

from firmware_sim.memory import offline
from firmware_sim.model import Model
from firmware_sim.profiles import Profile


class Standing(NamedTuple):
    """Whether the outputs are right with these kernels, and what a reader has to know about the plan."""

    holds: bool
    text: str


def standing(model: Model, profile: Profile) -> Standing | None:
    """Judge a plan that lets outputs overlap inputs, which is right for some kernels and computes garbage with others.

    Returns:
        None if there is nothing to say: no plan, or one that keeps apart what is in use together. A plan that the file's
        metadata speak of and that some tool has dropped leaves the outputs right and the arena as large as before; it
        does not hold either.

    Raises:
        ModelError: the plan is damaged.
    """
    if offline.METADATA not in model.metadata and offline.RECORD not in model.metadata:
        return None
    # Not imported before it is needed: replaying a plan takes numpy.
    from firmware_sim.overlap import rules, stored

    recorded = stored.recorded_kernels(model)
    if not stored.overlaps(model):
        if recorded is None or offline.METADATA in model.metadata:
            return None
        lost = f"The file says that it has a memory plan for {recorded} kernels, but the plan is gone."
        if stored.recorded_bands(model):
            lost += " It computes layers in bands, which take much more memory without the plan."
        return Standing(False, lost)
    made = f"was made for {recorded} kernels" if recorded else "does not say for which kernels it was made"
    kernels = rules.class_of(profile)
    if not stored.damages(model, kernels):
        text = f"The file's memory plan lets outputs overlap inputs and {made}. It holds for {kernels} kernels."
        return Standing(True, text)
    text = (
        f"WRONG OUTPUTS with {kernels} kernels: the file's memory plan lets outputs overlap inputs in a way that these "
        f"kernels are not known to bear; it {made}. Shrink the original file again with --kernels {kernels}."
    )
    return Standing(False, text)
