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
        metadata speak of and that some tool has dropped does not hold either: the arena is as large as before, and in
        some forms of bands the outputs are wrong.

    Raises:
        ModelError: the plan is damaged.
    """
    if offline.METADATA not in model.metadata and offline.RECORD not in model.metadata:
        return _unwritten(model)
    # Not imported before it is needed: replaying a plan takes numpy.
    from firmware_sim.overlap import rules, stored

    recorded, form = stored.recorded_kernels(model), stored.recorded_bands(model)
    if offline.METADATA not in model.metadata and recorded is not None:
        lost = f"The file says that it has a memory plan for {recorded} kernels, but the plan is gone."
        if stored.recorded_storages(model):
            lost = f"WRONG OUTPUTS: {lost} It computes layers in bands as {form}, which are right with that plan alone."
        elif form:
            lost += " It computes layers in bands, which take much more memory without the plan."
        return Standing(False, lost)
    if not stored.overlaps(model):
        return None
    made = f"was made for {recorded} kernels" if recorded else "does not say for which kernels it was made"
    kernels = rules.class_of(profile)
    if not stored.damages(model, kernels):
        text = f"The file's memory plan lets outputs overlap inputs and {made}. It holds for {kernels} kernels."
        if stored.recorded_storages(model):
            text += (
                f" Layers are computed in bands as {form}: the file is right in TFLM alone, and with this plan alone."
            )
        return Standing(True, text)
    text = (
        f"WRONG OUTPUTS with {kernels} kernels: the file's memory plan lets outputs overlap inputs in a way that these "
        f"kernels are not known to bear; it {made}. Shrink the original file again with --kernels {kernels}."
    )
    return Standing(False, text)


def _unwritten(model: Model) -> Standing | None:
    """A file in bands as views whose metadata were dropped altogether shows in tensors that come from nowhere."""
    subgraph = model.subgraphs[0]
    written = {index for operator in subgraph.operators for index in operator.outputs}.union(subgraph.inputs)
    read = {index for operator in subgraph.operators for index in operator.inputs if index >= 0}
    orphans = [tensor for tensor in (subgraph.tensors[index] for index in sorted(read - written))
               if tensor.data is None and not tensor.is_variable and tensor.elements]  # fmt: skip
    if not orphans:
        return None
    text = (
        f"WRONG OUTPUTS: operators read {len(orphans)} tensors that nothing writes, {orphans[0].name!r} for one. If a tool "
        "dropped the metadata of a file in bands, rewrite the original file again."
    )
    return Standing(False, text)
