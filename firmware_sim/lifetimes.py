"""When each buffer of a model is in use.

Source: tensorflow/lite/micro/micro_allocation_info.cc:54-334 (AllocationInfoBuilder). Time is a counter that starts at 0
before the first operator and goes up by one at each operator and each call of a subgraph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from firmware_sim.errors import ModelError
from firmware_sim.model import Model, Operator
from firmware_sim.records import Record

# Which options name the subgraphs that an operator calls.
_CALLS: Final[Mapping[str, tuple[str, ...]]] = {
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "WHILE": ("cond_subgraph_index", "body_subgraph_index"),
    "CALL_ONCE": ("init_subgraph_index",),
}
_MAX_DEPTH: Final = 64
_MAX_VISITS: Final = 1_000_000

UNSET: Final = -1
"""Time of a buffer that nothing touches."""


class Lifetime(Record):
    """Closed interval of times; `first` or both are -1 for a tensor that nothing writes, or nothing touches."""

    first: int
    last: int


class Lifetimes(Record):
    """Lifetimes of a model.

    Attributes:
        tensors: per subgraph, per tensor.
        operators: (subgraph, operator) to the times at which its own kernel runs, which are also those of its scratch
            buffers; operators of subgraphs that nothing calls are missing.
    """

    tensors: tuple[tuple[Lifetime, ...], ...]
    operators: Mapping[tuple[int, int], Lifetime]


class _Walk:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.first = [[UNSET] * len(subgraph.tensors) for subgraph in model.subgraphs]
        self.last = [[UNSET] * len(subgraph.tensors) for subgraph in model.subgraphs]
        self.started: dict[tuple[int, int], int] = {}
        self.finished: dict[tuple[int, int], int] = {}
        self.calls: list[int] = []
        self.time = 0
        self.visits = 0

    def subgraph(self, number: int) -> None:
        subgraph = self.model.subgraphs[number]
        first, last = self.first[number], self.last[number]
        self.calls.append(number)
        for tensor in subgraph.inputs:
            if first[tensor] == UNSET:
                first[tensor] = self.time
            last[tensor] = self.time
        for operator in subgraph.operators:
            self.operator(number, operator)
        for tensor in subgraph.outputs:
            if first[tensor] == UNSET:
                first[tensor] = self.time
            last[tensor] = self.time
        self.calls.pop()

    def operator(self, number: int, operator: Operator) -> None:
        first, last = self.first[number], self.last[number]
        self.visits += 1
        if self.visits > _MAX_VISITS:
            raise ModelError("control flow calls subgraphs more than a million times over")
        self.time += 1
        for tensor in operator.outputs:
            if first[tensor] == UNSET:
                first[tensor] = self.time
        self.started.setdefault((number, operator.index), self.time)
        for subgraph in called(operator):
            self.call(subgraph, f"subgraph {number}, operator {operator.index}")
        for tensor in operator.inputs:
            if tensor >= 0:
                last[tensor] = self.time
        for tensor in operator.outputs:
            last[tensor] = self.time
        self.finished[number, operator.index] = self.time

    def call(self, number: int, caller: str) -> None:
        if not 0 <= number < len(self.model.subgraphs):
            raise ModelError(f"{caller} calls subgraph {number} of {len(self.model.subgraphs)}")
        if number in self.calls:
            raise ModelError(f"{caller} calls subgraph {number}, which is already running: endless recursion")
        if len(self.calls) >= _MAX_DEPTH:
            raise ModelError(f"{caller}: subgraphs call each other more than {_MAX_DEPTH} deep")
        self.time += 1
        self.subgraph(number)


def called(operator: Operator) -> tuple[int, ...]:
    """The subgraphs that an operator names, in the order in which TFLM visits them."""
    names = () if operator.is_custom else _CALLS.get(operator.op, ())
    return tuple(operator.option(name) for name in names)


def reached(model: Model, operator: Operator) -> list[int]:
    """The subgraphs that run while an operator does."""
    found: list[int] = []
    coming = list(called(operator))
    while coming:
        number = coming.pop()
        if number not in found:
            found.append(number)
            coming += [callee for inner in model.subgraphs[number].operators for callee in called(inner)]
    return found


def lifetimes(model: Model) -> Lifetimes:
    """Lifetimes of all tensors and operators.

    A tensor lives from the operator that writes it (or, for an input, from the start of its subgraph) to its last
    reader, both included; outputs live to the end of their subgraph. An operator that calls subgraphs runs until they
    have returned, so its inputs and outputs overlap all that happens inside.

    Raises:
        ModelError: an operator calls a subgraph that does not exist, or calls form a cycle or get out of hand.
    """
    walk = _Walk(model)
    walk.subgraph(0)
    return Lifetimes(
        tensors=tuple(_pairs(first, last) for first, last in zip(walk.first, walk.last, strict=True)),
        operators={key: Lifetime(start, walk.finished[key]) for key, start in walk.started.items()},
    )


def _pairs(first: Sequence[int], last: Sequence[int]) -> tuple[Lifetime, ...]:
    return tuple(Lifetime(*pair) for pair in zip(first, last, strict=True))
