"""Shows in TFLM that what lies between the layers is the same too, and in LiteRT that the file is right without its plan.

`firmware_sim.rewrite.proof` compares the outputs of whole models. Here the rewritten file is cut off behind the operator
that writes a tensor that both files have in common, so that this tensor is an output, while every tensor stays where the
plan puts it. Each input is run twice on one interpreter: what a run leaves behind must not matter. What the tensors of the
old file hold is taken from one run in which TFLM lets none of them give way to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from typing import Final

from firmware_sim.costs import macs
from firmware_sim.errors import InternalError, ModelError, SapoolError
from firmware_sim.model import Model, Subgraph, Tensor, read
from firmware_sim.overlap import stored
from firmware_sim.rewrite.draft import finish, open_draft
from firmware_sim.rewrite.proof import fed, input_tensors, wrong
from firmware_sim.run import tflm
from firmware_sim.run.feed import EXTREMES, feed
from firmware_sim.run.workers import Workers, most_workers

INPUTS: Final = (EXTREMES, 0)
"""Which inputs are compared (`firmware_sim.run.feed`): a random one and the lowest one."""

_RUNS: Final = 2  # on one interpreter
# Of all runs together: half a minute. A MobileNetV2 1.0 at 224 pixels takes less.
_MACS_PER_WORKER: Final = 20_000_000_000


@dataclass(frozen=True, slots=True)
class TensorProof:
    """So many of `tensors` that both files have in common were compared in TFLM; outputs in LiteRT, if it is installed."""

    compared: int
    tensors: int
    in_litert: bool


def prove_tensors(before: bytes, after: bytes, *, name: str, workers: Workers | None = None) -> TensorProof:
    """Compare the tensors that two models have in common, by their names, for a random input and the lowest one.

    TFLM runs in processes of its own. Where all tensors would take more than some billions of multiply-accumulates for each
    processor, only some of them are compared, evenly over the network.

    Args:
        before: the model as it was.
        after: the model as it is to be written.
        name: what to call it in messages.
        workers: the processes; by default as many as there are processors.

    Raises:
        UsageError: TFLM is not installed.
        ModelError: TFLM refuses the model as it was.
        InternalError: a tensor differs.
    """
    tflm.check_installed()
    old, new = read(before, name=name), read(after, name=name)
    own, taken = input_tensors(old), input_tensors(new)
    common = list(_common(old.subgraphs[0], new.subgraphs[0]))
    chosen = _affordable(old, common)
    wanted = [one for one, _ in chosen]
    with nullcontext(workers) if workers else Workers(most_workers()) as pool:
        kept = [pool.submit(_kept, before, own, taken, number, wanted) for number in INPUTS]
        computed = [pool.submit(_computed, after, taken, other) for _, other in chosen]
        in_litert = _same_in_litert(before, after, own, taken, name)
        try:
            expected = [one.result() for one in kept]
        except ModelError as error:
            raise ModelError(error.message, where=name) from None
        for place, (_, other) in enumerate(chosen):
            try:
                got = computed[place].result()
            except SapoolError as error:
                raise wrong(error.message, name) from None
            for number, (digests, runs) in enumerate(zip(expected, got, strict=True)):
                if any(run != digests[place] for run in runs):
                    tensor = new.subgraphs[0].tensors[other]
                    raise wrong(f"tensor {tensor.name!r} differs for input {INPUTS[number]}", name)
    return TensorProof(len(chosen), len(common), in_litert)


def _kept(
    content: bytes, own: Sequence[Tensor], taken: Sequence[Tensor], number: int, wanted: Sequence[int]
) -> list[bytes]:
    """What another process does: a digest of each tensor wanted, after one run."""
    arrays = tflm.run_keeping(content, wanted, *fed(own, taken, number))
    return [sha256(array.tobytes()).digest() for array in arrays]


def _computed(content: bytes, inputs: Sequence[Tensor], tensor: int) -> list[list[bytes]]:
    """The same for one tensor of a rewritten file: per input a digest after each run."""
    model = tflm.Tflm(cut_behind(content, tensor))
    return [
        [sha256(model.invoke(*feed(inputs, number))[0].tobytes()).digest() for _ in range(_RUNS)] for number in INPUTS
    ]


def _common(old: Subgraph, new: Subgraph) -> Iterator[tuple[int, int]]:
    """Tensors that operators write in both, if only in parts, under the same name and with the same shape."""
    written = {old.tensors[index].name: index for operator in old.operators for index in operator.outputs}
    touched = (index for operator in new.operators for index in (*operator.inputs, *operator.outputs))
    for index in dict.fromkeys(index for index in touched if index >= 0 and index not in new.inputs):
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
    chosen, most = common, most_workers() * _MACS_PER_WORKER
    while len(chosen) > 1 and _RUNS * len(INPUTS) * sum(until[one] for one, _ in chosen) > most:
        chosen = chosen[::2]
    return chosen


_opened = lru_cache(maxsize=1)(open_draft)


def cut_behind(content: bytes, tensor: int) -> bytes:
    """A file whose output is a tensor, and which ends when that is written; every tensor keeps its place.

    What no operator writes as a whole is there when it is read.
    """
    draft = _opened(content)
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


def _same_in_litert(before: bytes, after: bytes, own: Sequence[Tensor], taken: Sequence[Tensor], name: str) -> bool:
    if find_spec("ai_edge_litert") is None or stored.recorded_storages(read(after)):
        return False
    from firmware_sim.run.litert import LiteRt

    try:
        old = LiteRt(before, name=name)
    except ModelError:
        return False  # it refuses some files that TFLM takes, whatever is done to them
    new = LiteRt(after, name=name)
    for number in INPUTS:
        pairs = zip(old.invoke(*fed(own, taken, number)), new.invoke(*feed(taken, number)), strict=True)
        for expected, got in pairs:
            if expected.tobytes() != got.tobytes():
                raise InternalError("an output differs in LiteRT; nothing was written", where=name)
    return True
