"""The order of the operators in which the least memory is in use at the worst moment.

A state is the set of operators that have run; what is in use follows from it, whatever their order was. So the search goes
through sets, not orders (Ahn et al. 2020, "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks
for Edge Devices"), always on from the one whose worst moment is lowest; the first complete set is optimal. Networks with
too many sets are searched by a beam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush, nsmallest
from typing import Final

from firmware_sim.errors import InternalError
from firmware_sim.model import Operator
from firmware_sim.rewrite.draft import DraftGraph
from firmware_sim.rewrite.effects import effects_in_order

_MOST_SETS: Final = 20_000
_BEAM: Final = 64


@dataclass(frozen=True, slots=True)
class Costs:
    """What counts while operators run.

    Attributes:
        sizes_bytes: tensor to its bytes in the head; others take none.
        scratch_bytes: operator to its scratch buffers.
        shared_bytes: (operator, input) to the bytes that its output can share with the input, if the input dies there.
    """

    sizes_bytes: Mapping[int, int]
    scratch_bytes: Mapping[int, int]
    shared_bytes: Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Ordering:
    """Positions of the operators in a new order, its worst moment, and what no order can be below."""

    order: tuple[int, ...]
    peak_bytes: int
    bound_bytes: int


def reorder(graph: DraftGraph, costs: Costs) -> tuple[DraftGraph, Ordering]:
    """The graph with its operators in the best order found; the old one where no other is better."""
    schedule = _Schedule(graph, costs)
    ordering = schedule.best()
    if ordering.peak_bytes >= schedule.peak_bytes(range(len(graph.operators))):
        return graph, replace(ordering, order=tuple(range(len(graph.operators))))
    return replace(graph, operators=tuple(graph.operators[position] for position in ordering.order)), ordering


class _Schedule:
    def __init__(self, graph: DraftGraph, costs: Costs) -> None:
        self.graph, self.costs = graph, costs
        self.operators: Sequence[Operator] = graph.operators
        self.everything = (1 << len(self.operators)) - 1
        writer = {index: position for position, o in enumerate(self.operators) for index in o.outputs}
        self.needs = [0] * len(self.operators)
        self.readers: dict[int, int] = {}
        for position, operator in enumerate(self.operators):
            for index in operator.inputs:
                self.readers[index] = self.readers.get(index, 0) | 1 << position
                if index in writer:
                    self.needs[position] |= 1 << writer[index]
        for position, earlier in effects_in_order(graph):
            self.needs[position] |= 1 << earlier
        self.kept = set(graph.outputs)

    def start_bytes(self) -> int:
        """In use before the first operator."""
        return sum(self.size(index) for index in self.graph.inputs)

    def size(self, index: int) -> int:
        return self.costs.sizes_bytes.get(index, 0)

    def step(self, done: int, live_bytes: int, position: int) -> tuple[int, int]:
        """Bytes in use while an operator runs, and after it."""
        operator = self.operators[position]
        after = done | 1 << position
        outputs = sum(self.size(index) for index in operator.outputs)
        dying = [
            index
            for index in dict.fromkeys(operator.inputs)
            if index >= 0 and self.size(index) and index not in self.kept and not self.readers[index] & ~after
        ]
        shared = sum(self.costs.shared_bytes.get((operator.index, index), 0) for index in dying)
        during = live_bytes + outputs + self.costs.scratch_bytes.get(operator.index, 0) - min(shared, outputs)
        unread = sum(
            self.size(index) for index in operator.outputs if index not in self.kept and not self.readers.get(index)
        )
        return during, live_bytes + outputs - sum(self.size(index) for index in dying) - unread

    def peak_bytes(self, order: Sequence[int]) -> int:
        done, live, peak = 0, self.start_bytes(), self.start_bytes()
        for position in order:
            during, live = self.step(done, live, position)
            peak = max(peak, during)
            done |= 1 << position
        return peak

    def ready(self, done: int) -> list[int]:
        return [position for position, needs in enumerate(self.needs) if not done >> position & 1 and not needs & ~done]

    def steps(self, done: int, live_bytes: int, peak_bytes: int) -> list[tuple[int, int, int]]:
        """What can run next, with the bytes in use while it does and afterwards.

        An operator that takes no more than has been taken, and leaves no more than there is, is as good now as ever: later
        it would leave no more either, and no other operator can share less after it.
        """
        found = []
        for position in self.ready(done):
            during, after = self.step(done, live_bytes, position)
            if during <= peak_bytes and after <= live_bytes:
                return [(position, during, after)]
            found.append((position, during, after))
        return found

    def best(self) -> Ordering:
        """By sets; by a beam where there are too many."""
        start = self.start_bytes()
        # Among equal peaks the longest order first, then the one nearest to that of the file.
        heap: list[tuple[int, int, tuple[int, ...], int, int]] = [(start, 0, (), 0, start)]
        seen: set[int] = set()
        while heap:
            peak, _, order, done, live = heappop(heap)
            if done == self.everything:
                return Ordering(order, peak, peak)
            if done in seen:
                continue
            seen.add(done)
            if len(seen) > _MOST_SETS:
                return self.beam(peak)
            for position, during, after in self.steps(done, live, peak):
                following = (*order, position)
                heappush(heap, (max(peak, during), -len(following), following, done | 1 << position, after))
        raise InternalError("the operators of a graph wait for each other")

    def beam(self, bound_bytes: int) -> Ordering:
        start = self.start_bytes()
        layer: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (start, start, ())}
        for _ in self.operators:
            following: dict[int, tuple[int, int, tuple[int, ...]]] = {}
            for done, (peak, live, order) in layer.items():
                for position, during, after in self.steps(done, live, peak):
                    entry = max(peak, during), after, (*order, position)
                    key = done | 1 << position
                    if key not in following or entry < following[key]:
                        following[key] = entry
            layer = dict(nsmallest(_BEAM, following.items(), key=lambda item: item[1]))
        peak, _, order = layer[self.everything]
        return Ordering(order, peak, bound_bytes)
