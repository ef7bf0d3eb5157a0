"""What shrinking a model would save, in a sentence for other reports."""

from __future__ import annotations

from firmware_sim.errors import ModelError
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.shrink import shrink


def saving(content: bytes, profile: Profile, kernels: str, *, name: str) -> str:
    """The arena that a build has now and would have; found by shrinking the model, which takes up to about a second.

    Args:
        content: a .tflite file.
        profile: the build.
        kernels: the kernel class of the plan; the build must belong to it.
        name: what to call the model in messages.

    Raises:
        ModelError: TFLM refuses the model.
    """
    try:
        shrunk = shrink(content, kernels=kernels, profile=profile, name=name)
    except ModelError as error:
        return f"sapool shrink does not take this file: {error.message}."
    before, after = shrunk.before.arena, shrunk.after.arena
    which = "all known kernels" if kernels == "any" else f"{kernels} kernels"
    if before.total_bytes == after.total_bytes:
        return f"sapool shrink would save nothing for {which}."
    return (
        f"sapool shrink would save {before.total_bytes - after.total_bytes:,} bytes for {which}: an arena of "
        f"{after.total_bytes:,} instead of {before.total_bytes:,} (head {after.head_bytes:,} instead of "
        f"{before.head_bytes:,}), with the same outputs."
    )
