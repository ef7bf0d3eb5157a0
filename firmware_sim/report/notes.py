"""Sentences that a reader needs beside the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_sim import profiles, sizes
from firmware_sim.memory import offline
from firmware_sim.model import Model

if TYPE_CHECKING:
    from firmware_sim.profiles import Profile
    from firmware_sim.targets import Reserve, Target


def collect(
    model: Model, target: Target | None = None, *, profile: Profile | None = None, reserve: Reserve | None = None
) -> tuple[str, ...]:
    """Notes on the input of `model`, on the memory plan in the file, and on how `target` was judged.

    Args:
        model: the file that was measured.
        target: the board that it was fitted to, if any.
        profile: the build that it was measured for; by default that of the target, or "host64" without a target.
        reserve: the reserve that was used for that; by default `firmware_sim.targets.DEFAULT_RESERVE`.
    """
    notes = [_pixel_input(model, index) for index in model.subgraphs[0].inputs]
    if profile is None:
        profile = profiles.get(profiles.DEFAULT if target is None else target.profile)
    notes.append(_memory_plan(model, profile))
    if target is not None:
        from firmware_sim.targets import DEFAULT_RESERVE

        reserve = reserve or DEFAULT_RESERVE
        origin = "assumptions, not measurements" if reserve == DEFAULT_RESERVE else "as asked for"
        notes.append(
            f"The fit leaves {sizes.describe(reserve.ram_bytes)} of RAM for stack, heap and globals and "
            f"{sizes.describe(reserve.flash_bytes)} of flash for code: {origin}."
        )
        notes.extend(target.notes)
    return tuple(note for note in notes if note)


def _memory_plan(model: Model, profile: Profile) -> str:
    """A plan that lets outputs overlap inputs is right for some kernels and computes garbage with others."""
    if offline.METADATA not in model.metadata and offline.RECORD not in model.metadata:
        return ""
    # Not imported before it is needed: replaying a plan takes numpy.
    from firmware_sim.overlap import rules, stored

    recorded = stored.recorded_kernels(model)
    if not stored.overlaps(model):
        if recorded is None or offline.METADATA in model.metadata:
            return ""
        return f"The file says that it has a memory plan for {recorded} kernels, but the plan is gone."
    made = f"was made for {recorded} kernels" if recorded else "does not say for which kernels it was made"
    kernels = rules.class_of(profile)
    if not stored.damages(model, kernels):
        return f"The file's memory plan lets outputs overlap inputs and {made}. It holds for {kernels} kernels."
    return (
        f"WRONG OUTPUTS with {kernels} kernels: the file's memory plan lets outputs overlap inputs in a way that these "
        f"kernels are not known to bear; it {made}. Shrink the original file again with --kernels {kernels}."
    )


def _pixel_input(model: Model, index: int) -> str:
    """A network trained on pixel / 128 - 1 takes the bytes of an image less 128, with no arithmetic on the device."""
    tensor = model.subgraphs[0].tensors[index]
    quantization = tensor.quantization
    if tensor.type != "INT8" or quantization is None:
        return ""
    if quantization.scale != (1 / 128,) or quantization.zero_point != (0,):
        return ""
    return f"Input '{tensor.name}' is int8 = pixel - 128 (scale 1/128, zero point 0): no other preprocessing is needed."
