"""Replays a plan of a file whose operators call subgraphs (IF, WHILE, CALL_ONCE), which share the arena with their caller.

A subgraph is followed operator by operator. One that calls others is taken to leave nothing of what they use: it writes all
their tensors. Its outputs are kept from them too, since WHILE holds its state there (lite/micro/kernels/while.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from firmware_sim.lifetimes import reached
from firmware_sim.model import Model, Subgraph, Tensor
from firmware_sim.overlap.replay import Damage, meet, replay


def replay_calls(model: Model, places: Sequence[Mapping[int, int]], kernels: str | None) -> tuple[Damage, ...]:
    """What a plan breaks in any subgraph; tensors of called subgraphs have numbers behind those of the subgraph.

    Args:
        model: the file.
        places: per subgraph, tensor to its offset.
        kernels: see `firmware_sim.overlap.replay.replay`.
    """
    found: list[Damage] = []
    for number in range(len(model.subgraphs)):
        whole = _Whole(model, number, places)
        found += replay(whole.subgraph, whole.tensors, whole.places, kernels)
        found += whole.clashes()
    return tuple(dict.fromkeys(found))


class _Whole:
    """A subgraph with the tensors of all that it calls."""

    def __init__(self, model: Model, number: int, places: Sequence[Mapping[int, int]]) -> None:
        subgraph = model.subgraphs[number]
        self.tensors: list[Tensor] = list(subgraph.tensors)
        self.places = dict(places[number])
        self._inside: dict[int, tuple[int, ...]] = {}
        bases: dict[int, int] = {}
        for operator in subgraph.operators:
            inside: list[int] = []
            for callee in reached(model, operator):
                if callee not in bases:
                    bases[callee] = len(self.tensors)
                    self.tensors += model.subgraphs[callee].tensors
                    self.places.update({bases[callee] + index: place for index, place in places[callee].items()})
                inside += [bases[callee] + index for index in places[callee]]
            if inside:
                self._inside[operator.index] = tuple(inside)
        self._operators = subgraph.operators
        operators = [o.replaced(outputs=(*self._inside.get(o.index, ()), *o.outputs)) for o in subgraph.operators]
        self.subgraph = Subgraph(tuple(self.tensors), tuple(operators), subgraph.inputs, subgraph.outputs)

    def clashes(self) -> Iterator[Damage]:
        """Outputs of operators that call subgraphs, and what lies there of those."""
        for operator in self._operators:
            for output in operator.outputs:
                for index in self._inside.get(operator.index, ()):
                    if output in self.places and meet(self.tensors, self.places, index, output):
                        yield Damage(operator.index, index, output)
