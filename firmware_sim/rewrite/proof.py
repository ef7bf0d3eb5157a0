"""Shows in TFLM itself that a rewritten model computes what the old one did, byte by byte.

TFLM runs in processes of their own. What the old model computes does not depend on the rewriting, so it is computed while
that is still going on; from each run only a digest of every output comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from types import TracebackType
from typing import Final, NamedTuple

from firmware_sim import costs
from firmware_sim.errors import InternalError, ModelError, SapoolError, UsageError
from firmware_sim.model import Model, Tensor, read
from firmware_sim.rewrite.int8_input import given_before, with_int8_input
from firmware_sim.run import tflm
from firmware_sim.run.feed import TYPES, feed
from firmware_sim.run.tensors import Array
from firmware_sim.run.workers import Workers, most_workers

INPUTS: Final = 100
"""How many inputs a proof compares, the extreme ones included, before a file is written."""

LEAST: Final = 10
"""How many it compares at least where nothing is written."""

_MACS_PER_WORKER: Final = 500_000_000  # about a second of TFLM's reference kernels
_WORTH_A_WORKER: Final = 100_000_000  # multiply-accumulates that take as long as the start of a process
_SHARES: Final = 5  # per process, so that none waits long for the last


@dataclass(frozen=True, slots=True)
class Proof:
    """Outputs of both models were compared for so many inputs and were the same; head and total are what TFLM printed."""

    inputs: int
    head_bytes: int
    total_bytes: int


class Comparison:
    """A model to compare rewritten ones with, whose outputs are computed from now on; use it in a `with` block.

    Every input tensor is once all lowest, once all highest and once all zero point; all others are random. Where the new
    model takes int8 and the old one does not, the old one is given the values of the integers. At most as many processes
    run as there are processors.

    Args:
        before: the model as it was.
        name: what to call it in messages.
        inputs: how many; None, for a report alone, takes as many as `INPUTS` or about a second allow, but at least `LEAST`.
        taken: inputs of the rewritten models; None where they are those of the old one.

    Attributes:
        workers: the processes.

    Raises:
        ModelError: the model cannot be read.
    """

    def __init__(
        self, before: bytes, *, name: str, inputs: int | None = None, taken: Sequence[Tensor] | None = None
    ) -> None:
        self._before, self._name = before, name
        model = read(before, name=name)
        own = input_tensors(model)
        self._taken = own if taken is None else tuple(taken)
        macs = 2 * max(1, costs.model_macs(model))
        most = most_workers()
        if inputs is None:
            inputs = max(LEAST, min(INPUTS, most * _MACS_PER_WORKER // macs))
        self._inputs = inputs
        self._count = max(1, min(most, inputs * macs // _WORTH_A_WORKER, inputs))
        self.workers = Workers(self._count)
        can_run = tflm.is_installed() and all(tensor.type in TYPES for tensor in own)
        self._expected = self._runs(before, own) if can_run else []

    def __enter__(self) -> Comparison:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.workers.__exit__(kind, error, traceback)

    def attempt(self, after: bytes) -> tuple[Proof | None, str]:
        """`prove` where there is something to prove and TFLM is installed: the proof, or None and why there is none."""
        if self._before == after:
            return None, "the file is unchanged"
        try:
            return self.prove(after), ""
        except UsageError as error:
            return None, f"{error.message} ({error.hint})"

    def prove(self, after: bytes) -> Proof:
        """Run the rewritten model on the same inputs, one after the other in one arena, and compare all outputs.

        Raises:
            ModelError: TFLM refuses the model as it was, or an input has a type that no values are made up for.
            UsageError: TFLM is not installed.
            InternalError: the rewritten model is refused, or an output differs.
        """
        tflm.check_installed()
        for tensor in self._taken:
            if tensor.type not in TYPES:
                message = f"TFLM was not run: no values are made up for an input of type {tensor.type}"
                raise ModelError(message, where=self._name)
        got = self._runs(after, self._taken)
        try:
            old = [run for share in self._expected for run in share.result().outputs]
        except ModelError as error:
            raise ModelError(error.message, where=self._name) from None
        try:
            shares = [share.result() for share in got]
        except SapoolError as error:
            raise wrong(error.message, self._name) from None
        new = [run for share in shares for run in share.outputs]
        for number, (expected, run) in enumerate(zip(old, new, strict=True)):
            for output, (one, other) in enumerate(zip(expected, run, strict=True)):
                if one != other:
                    raise wrong(f"output {output} differs for input {number}", self._name)
        return Proof(self._inputs, shares[0].arena.head_bytes, shares[0].arena.total_bytes)

    def _runs(self, content: bytes, own: Sequence[Tensor]) -> list[Future[_Share]]:
        shares = min(self._count * _SHARES if self._count > 1 else 1, self._inputs)
        edges = [self._inputs * number // shares for number in range(shares + 1)]
        return [self.workers.submit(_run, content, own, self._taken, start, end) for start, end in pairwise(edges)]


def prove(before: bytes, after: bytes, *, name: str, inputs: int | None = None) -> Proof:
    """`Comparison.prove` of a model that is rewritten already."""
    taken = input_tensors(read(after, name=name))
    with Comparison(before, name=name, inputs=inputs, taken=taken) as comparison:
        return comparison.prove(after)


class _Share(NamedTuple):
    """What TFLM computed for some inputs: the arena that it used, and per input a digest of each output."""

    arena: tflm.ArenaUse
    outputs: list[list[bytes]]


_loaded = lru_cache(maxsize=2)(tflm.Tflm)


def wrong(fault: str, name: str) -> InternalError:
    """The error of a comparison that failed."""
    return InternalError(f"the rewritten model is wrong: {fault}; nothing was written", where=name)


def taken_inputs(before: bytes, *, name: str, int8_input: bool) -> tuple[Tensor, ...]:
    """The inputs that a model has once it is rewritten, with or without the pass that makes them int8.

    Raises:
        ModelError: see `firmware_sim.rewrite.int8_input.with_int8_input`.
    """
    return input_tensors(read(with_int8_input(before, name=name)[0] if int8_input else before, name=name))


def input_tensors(model: Model) -> tuple[Tensor, ...]:
    """The inputs of a model, in their order."""
    subgraph = model.subgraphs[0]
    return tuple(subgraph.tensors[index] for index in subgraph.inputs)


def fed(own: Sequence[Tensor], taken: Sequence[Tensor], number: int) -> list[Array]:
    """Input `number` of a model whose inputs are `own`: the values that `feed` makes for `taken`."""
    return [given_before(*each) for each in zip(feed(taken, number), own, taken, strict=True)]


def _run(content: bytes, own: Sequence[Tensor], taken: Sequence[Tensor], start: int, end: int) -> _Share:
    """What another process does."""
    model = _loaded(content)
    outputs = [
        [sha256(output.tobytes()).digest() for output in model.invoke(*fed(own, taken, number))]
        for number in range(start, end)
    ]
    return _Share(model.arena, outputs)
