"""Why a model has no bands, and what would help."""

from __future__ import annotations

from typing import Final

from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Model
from firmware_sim.rewrite.bands.propose import Proposer

_NEARLY: Final = 0.95  # of the head: what is above the input is not worth bands


def unfit(model: Model) -> str:
    """What rules bands out before any are looked for; empty if nothing does."""
    if len(model.subgraphs) > 1:
        return f"{len(model.subgraphs)} subgraphs; bands are for models with one"
    if any(tensor.is_variable for tensor in model.subgraphs[0].tensors):
        return "it has variable tensors, which live from one run to the next"
    return ""


def reason_against(proposer: Proposer, most_macs: int, head_bytes: int) -> str:
    """Why no bands made the arena smaller than a plan with a head of `head_bytes` does."""
    graph = proposer.pricer.draft.graphs[0]
    peaks, layers = proposer.peaks, proposer.cuts.layers
    position = max(range(len(peaks)), key=lambda one: peaks[one])
    operator = graph.operators[position]
    where = f"the peak is at operator {operator.index} ({operator.op})"
    inputs = [graph.tensors[index] for index in graph.inputs]
    count = sum(tensor_bytes(tensor) for tensor in inputs)
    wide = next((tensor for tensor in inputs if tensor.type not in ("INT8", "UINT8")), None)
    if count >= _NEARLY * head_bytes:
        remedy = "a smaller input" if wide is None else f"an int8 input, which takes less than {wide.type},"
        return f"the input has to be there as a whole, {count:,} bytes of {head_bytes:,}; {remedy} would help"
    found = layers[position]
    if isinstance(found, str):
        return f"{where}: {found}"
    blocked = _blocked(proposer, position)
    if blocked:
        return f"{where}, and bands cannot go past a neighbour: {blocked}"
    extra = 100 * (most_macs / max(proposer.pricer.macs, 1) - 1)
    return f"{where}; no bands with at most {extra:.0f} % more multiplications make the arena smaller; allow more"


def _blocked(proposer: Proposer, position: int) -> str:
    """The first operator behind a peak that does not work row by row, if it is so near that no stage could end first."""
    layers, positions = proposer.cuts.layers, proposer.positions
    end = next((cut for cut in positions if cut > position), len(layers))
    start = max((cut for cut in positions if cut <= position), default=0)
    around = (*layers[start:end], *layers[end : end + 1])
    return next((one for one in around if isinstance(one, str)), "")
