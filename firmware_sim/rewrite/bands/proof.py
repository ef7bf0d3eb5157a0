"""Shows in TFLM that what lies between the layers is the same too, and in LiteRT that the file is right without its plan.

`firmware_sim.rewrite.proof` compares the outputs of whole models. Here both files are cut off behind the operator that
writes a tensor that they have in common, so that this tensor is an output, while every tensor stays where the plan puts it.
Each input is run twice on one interpreter: what a run leaves behind must not matter.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from firmware_sim.costs import macs
from firmware_sim.errors import InternalError, ModelError, SapoolError
from firmware_sim.model import Model, Subgraph, read
from firmware_sim.overlap import stored
from firmware_sim.rewrite.draft import finish, open_draft
from firmware_sim.rewrite.proof import _values
from firmware_sim.run import tflm
from firmware_sim.run.tensors import Array

INPUTS: Final = 2
_MOST_MACS: Final = 4_000_000_000  # of all runs together
_RUNS: Final = 3 * INPUTS  # of the old file once, of the new one twice
_TIMEOUT_S: Final = 1200.0
_CODE: Final = "import sys; from firmware_sim.rewrite.bands.proof import _run; _run(sys.stdin.buffer.read())"
_HEADER: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class TensorProof:
    """So many of `tensors` that both files have in common were compared in TFLM; outputs in LiteRT, if it is installed."""

    compared: int
    tensors: int
    in_litert: bool


def prove_tensors(before: bytes, after: bytes, *, name: str) -> TensorProof:
    """Compare the tensors that two models have in common, by their names, for a random input and the lowest one.

    TFLM runs in a process of its own. Where all tensors would take more than some billions of multiply-accumulates, only
    some of them are compared, evenly over the network.

    Args:
        before: the model as it was.
        after: the model as it is to be written.
        name: what to call it in messages.

    Raises:
        UsageError: TFLM is not installed.
        ModelError: TFLM refuses the model as it was.
        InternalError: a tensor differs.
    """
    printed, problem = tflm.apart(_CODE, _HEADER.pack(len(before)) + before + after, timeout_s=_TIMEOUT_S)
    if problem is not None:
        raise ModelError(problem, where=name)
    outcome: dict[str, Any] = json.loads(printed)
    if "fault" in outcome:
        raise InternalError(f"the rewritten model is wrong: {outcome['fault']}; nothing was written", where=name)
    return TensorProof(outcome["compared"], outcome["tensors"], _same_in_litert(before, after, name))


def _run(content: bytes) -> None:
    (length,) = _HEADER.unpack_from(content)
    before, after = content[_HEADER.size : _HEADER.size + length], content[_HEADER.size + length :]
    json.dump(_compare(before, after), sys.stdout)


def _compare(before: bytes, after: bytes) -> dict[str, Any]:
    old, new = read(before), read(after)
    common = list(_common(old.subgraphs[0], new.subgraphs[0]))
    chosen = _affordable(old, common)
    try:
        for one, other in chosen:
            tensor = new.subgraphs[0].tensors[other]
            first, second = tflm.Tflm(cut_behind(before, one)), tflm.Tflm(cut_behind(after, other))
            for number in range(INPUTS):
                arrays = _arrays(old, number)
                (expected,) = first.invoke(*arrays)
                for _ in range(2):
                    (got,) = second.invoke(*arrays)
                    if got.tobytes() != expected.tobytes():
                        return {"fault": f"tensor {tensor.name!r} differs for input {number}"}
    except SapoolError as error:
        return {"fault": error.message}
    return {"compared": len(chosen), "tensors": len(common)}


def _common(old: Subgraph, new: Subgraph) -> Iterator[tuple[int, int]]:
    """Tensors that operators write in both, if only in parts, under the same name and with the same shape."""
    written = {old.tensors[index].name: index for operator in old.operators for index in operator.outputs}
    touched = (index for operator in new.operators for index in (*operator.inputs, *operator.outputs) if index >= 0)
    for index in dict.fromkeys(touched):
        other = written.get(new.tensors[index].name)
        if other is not None and old.tensors[other].shape == new.tensors[index].shape:
            yield other, index


def _affordable(model: Model, common: list[tuple[int, int]]) -> list[tuple[int, int]]:
    subgraph = model.subgraphs[0]
    so_far = 0
    until: dict[int, int] = {}
    for operator in subgraph.operators:
        so_far += macs(operator, subgraph.tensors)
        until.update(dict.fromkeys(operator.outputs, so_far))
    chosen = common
    while len(chosen) > 1 and _RUNS * sum(until[one] for one, _ in chosen) > _MOST_MACS:
        chosen = chosen[::2]
    return chosen


def cut_behind(content: bytes, tensor: int) -> bytes:
    """A file whose output is a tensor, and which ends when that is written; every tensor keeps its place.

    What no operator writes as a whole is there when it is read.
    """
    draft = open_draft(content)
    graph = draft.graphs[0]
    ends = (
        number + (tensor in operator.outputs)
        for number, operator in enumerate(graph.operators)
        if tensor in (*operator.inputs, *operator.outputs)
    )
    end = next(ends)
    places = stored.all_places(draft.model)
    shorter = draft.with_graph(0, replace(graph, operators=graph.operators[:end], outputs=(tensor,)))
    root = shorter.root.replaced(signature_defs=None)
    return finish(replace(shorter, root=root, offsets=places if any(places) else None))


def _arrays(model: Model, number: int) -> list[Array]:
    """Random values, then the lowest ones."""
    random = np.random.default_rng(number)
    subgraph = model.subgraphs[0]
    # The first three numbers stand for extremes.
    return [_values(subgraph.tensors[index], 3 if number == 0 else number - 1, random) for index in subgraph.inputs]


def _same_in_litert(before: bytes, after: bytes, name: str) -> bool:
    if find_spec("ai_edge_litert") is None or stored.recorded_storages(read(after)):
        return False
    from firmware_sim.run.litert import LiteRt

    model = read(before)
    try:
        old = LiteRt(before, name=name)
    except ModelError:
        return False  # it refuses some files that TFLM takes, whatever is done to them
    new = LiteRt(after, name=name)
    for number in range(INPUTS):
        arrays = _arrays(model, number)
        for expected, got in zip(old.invoke(*arrays), new.invoke(*arrays), strict=True):
            if expected.tobytes() != got.tobytes():
                raise InternalError("an output differs in LiteRT; nothing was written", where=name)
    return True
