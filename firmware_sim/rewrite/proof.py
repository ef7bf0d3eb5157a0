"""Shows in TFLM itself that a rewritten model computes what the old one did, byte by byte."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from firmware_sim import costs
from firmware_sim.errors import InternalError, ModelError, SapoolError, UsageError
from firmware_sim.model import Model, Tensor, read
from firmware_sim.rewrite.int8_input import given_before
from firmware_sim.run import tflm
from firmware_sim.run.tensors import Array

INPUTS: Final = 100
"""How many inputs a proof compares, the extreme ones included, before a file is written."""

LEAST: Final = 10
"""How many it compares at least where nothing is written."""

_EXTREMES: Final = 3
_MACS_PER_WORKER: Final = 500_000_000  # about a second of TFLM's reference kernels
_WORTH_A_WORKER: Final = 100_000_000  # multiply-accumulates that take as long as the start of a process
_TYPES: Final = ("BOOL", "FLOAT32", "INT16", "INT32", "INT64", "INT8", "UINT8")
_MOST_WORKERS: Final = 8
_TIMEOUT_S: Final = 600.0
_SHARE: Final = "import sys; from firmware_sim.rewrite.proof import _share; _share(sys.stdin.buffer.read())"
_HEADER: Final = struct.Struct("<III")  # length of the first model, first input, number of inputs


@dataclass(frozen=True, slots=True)
class Proof:
    """Outputs of both models were compared for so many inputs and were the same; head and total are what TFLM printed."""

    inputs: int
    head_bytes: int
    total_bytes: int


def attempt(before: bytes, after: bytes, *, name: str, inputs: int | None = None) -> tuple[Proof | None, str]:
    """`prove` where there is something to prove and TFLM is installed: the proof, or None and why there is none."""
    if before == after:
        return None, "the file is unchanged"
    try:
        return prove(before, after, name=name, inputs=inputs), ""
    except UsageError as error:
        return None, f"{error.message} ({error.hint})"


def prove(before: bytes, after: bytes, *, name: str, inputs: int | None = None) -> Proof:
    """Run both models in TFLM on the same inputs, one after the other in one arena each, and compare all outputs.

    Where the new model takes int8 and the old one does not, the old one is given the values of the integers. Every input
    tensor is once all lowest, once all highest and once all zero point; all others are random. TFLM runs in processes of
    their own, at most as many as there are processors.

    Args:
        before: the model as it was.
        after: the model as it is to be written.
        name: what to call it in messages.
        inputs: how many; None, for a report alone, takes as many as `INPUTS` or about a second allow, but at least `LEAST`.

    Raises:
        ModelError: TFLM refuses the model as it was, or an input has a type that no values are made up for.
        UsageError: TFLM is not installed.
        InternalError: the rewritten model is refused, or an output differs.
    """
    model = read(before, name=name)
    for tensor in model.subgraphs[0].inputs:
        kind = model.subgraphs[0].tensors[tensor].type
        if kind not in _TYPES:
            raise ModelError(f"TFLM was not run: no values are made up for an input of type {kind}", where=name)
    macs = max(1, _macs(model) + _macs(read(after, name=name)))
    most = min(_MOST_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if inputs is None:
        inputs = max(LEAST, min(INPUTS, most * _MACS_PER_WORKER // macs))
    workers = max(1, min(most, inputs * macs // _WORTH_A_WORKER, inputs))
    edges = [inputs * number // workers for number in range(workers + 1)]
    with ThreadPoolExecutor(workers) as pool:
        shares = list(
            pool.map(
                lambda edge: tflm.apart(
                    _SHARE, _HEADER.pack(len(before), edge[0], edge[1] - edge[0]) + before + after, timeout_s=_TIMEOUT_S
                ),
                pairwise(edges),
            )
        )
    results = [_outcome(printed, problem, name) for printed, problem in shares]
    return Proof(inputs, results[0]["head_bytes"], results[0]["total_bytes"])


def _macs(model: Model) -> int:
    return sum(costs.macs(o, subgraph.tensors) for subgraph in model.subgraphs for o in subgraph.operators)


def _outcome(printed: bytes, problem: str | None, name: str) -> dict[str, Any]:
    if problem is not None:
        raise ModelError(problem, where=name)
    outcome: dict[str, Any] = json.loads(printed)
    if "refused" in outcome:
        raise ModelError(outcome["refused"], where=name)
    if "fault" in outcome:
        raise InternalError(f"the rewritten model is wrong: {outcome['fault']}; nothing was written", where=name)
    return outcome


def _share(content: bytes) -> None:
    """What the other process runs: some of the inputs."""
    length, first, count = _HEADER.unpack_from(content)
    before, after = content[_HEADER.size : _HEADER.size + length], content[_HEADER.size + length :]
    json.dump(_compare(before, after, first, count), sys.stdout)


def _compare(before: bytes, after: bytes, first: int, count: int) -> dict[str, Any]:
    try:
        old = tflm.Tflm(before)
    except SapoolError as error:
        return {"refused": error.message}
    try:
        new = tflm.Tflm(after)
        one, other = read(before), read(after)
        for number, arrays in _inputs(input_tensors(other), first, count):
            pairs = zip(old.invoke(*as_given(arrays, one, other)), new.invoke(*arrays), strict=True)
            for output, (expected, got) in enumerate(pairs):
                if expected.tobytes() != got.tobytes():
                    return {"fault": f"output {output} differs for input {number}"}
    except SapoolError as error:
        return {"fault": error.message}
    return {"head_bytes": new.arena.head_bytes, "total_bytes": new.arena.total_bytes}


def input_tensors(model: Model) -> list[Tensor]:
    """The inputs, in their order."""
    subgraph = model.subgraphs[0]
    return [subgraph.tensors[index] for index in subgraph.inputs]


def as_given(arrays: Sequence[Array], before: Model, after: Model) -> list[Array]:
    """Arrays for the inputs of the new model as the old one takes them."""
    return [given_before(*each) for each in zip(arrays, input_tensors(before), input_tensors(after), strict=True)]


def _inputs(tensors: Sequence[Tensor], first: int, count: int) -> Iterator[tuple[int, list[Array]]]:
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        yield number, [_values(tensor, number, random) for tensor in tensors]


def _values(tensor: Tensor, number: int, random: np.random.Generator) -> Array:
    """Extremes first: lowest, highest, zero point; then values of the whole range, for float around [-2, 2]."""
    if tensor.type == "FLOAT32":
        if number < _EXTREMES:
            return np.full(tensor.shape, (-1.0, 1.0, 0.0)[number], np.float32)
        return random.normal(size=tensor.shape).astype(np.float32)
    if tensor.type == "BOOL":
        return np.asarray(random.integers(0, 2, tensor.shape), np.bool_)
    kind = np.dtype(tensor.type.lower())
    limits = np.iinfo(kind)
    if number < _EXTREMES:
        quantization = tensor.quantization
        zero = quantization.zero_point[0] if quantization and quantization.zero_point else 0
        return np.full(tensor.shape, (int(limits.min), int(limits.max), zero)[number], kind)
    return np.asarray(random.integers(limits.min, limits.max, tensor.shape, kind, endpoint=True))
