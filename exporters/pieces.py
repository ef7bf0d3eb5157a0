"""A lowered network in pieces, of which those of layers with several forms are exchanged.

The export looks at a dozen combinations of forms, in which most layers stay as they were. A layer is lowered once for each
of its forms, what lies between such layers once, and the graph of a combination is put together from that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from exporters import fold
from exporters.forms import Forms
from exporters.graph import Graph, Operator, Tensor
from exporters.lower import Builder, Value
from exporters.lower.value import NO_MARGINS


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of a layer that left choices, while a network was lowered.

    Attributes:
        operators: positions of those that it wrote.
        met: the names of the forms of each choice.
        read: the values that it was given.
        result: what it gave.
        lower: what lowers it again, into a builder that has these values.
    """

    operators: range
    met: Mapping[str, tuple[str, ...]]
    read: Sequence[Value]
    result: object
    lower: Callable[[Builder], object]

    def form(self, forms: Forms) -> tuple[str, ...]:
        """What is taken of each choice; `forms` learns that there are these choices."""
        return tuple(forms.take(choice, names) for choice, names in self.met.items())


@dataclass(frozen=True, slots=True)
class _Piece:
    """Folded operators that follow each other, what they write and the constants that they read, and what others read."""

    operators: tuple[Operator, ...]
    own: Mapping[str, Tensor]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, section: Graph) -> _Piece:
        graph = fold.join(section)
        own = {name: tensor for name, tensor in graph.tensors.items() if name not in graph.inputs}
        return cls(graph.operators, own, graph.outputs)

    def reading(self, names: Mapping[str, str]) -> Iterator[Operator]:
        """The operators, where some maps of other pieces are called otherwise."""
        for op in self.operators:
            renamed = tuple([name and names.get(name, name) for name in op.inputs])
            yield op if renamed == op.inputs else replace(op, inputs=renamed)

    @property
    def places(self) -> set[str]:
        """The modules whose names are in those of the tensors."""
        return {name.rpartition("/")[0] for name in self.own}


@dataclass(slots=True, eq=False)
class _Part:
    """A stretch of the network: one piece, or one for each form of a layer, None for a form that cannot be exchanged."""

    section: Graph
    call: Call | None
    forms: dict[tuple[str, ...], _Piece | None] = field(default_factory=dict)


class Pieces:
    """The pieces of a network that was lowered in one combination of forms.

    Args:
        graph: what it became, nothing folded.
        taken: the combination.
        calls: the layers with choices, in order.
    """

    def __init__(self, graph: Graph, taken: Forms, calls: Sequence[Call]) -> None:
        self._graph = fold.drop_dead(graph)
        self._readers = self._graph.consumers()
        owners = {graph.operators[i].outputs[0]: call for call in calls for i in call.operators}
        runs = groupby(self._graph.operators, lambda op: owners.get(op.outputs[0]))
        self._parts = [_Part(self._section(tuple(run)), call) for call, run in runs]
        self._are_apart = self._shares_nothing(calls)
        for part in self._parts if self._are_apart else ():
            form = () if part.call is None else part.call.form(taken)
            part.forms[form] = self._fitting(part, part.section)

    def joined(self, forms: Forms) -> Graph | None:
        """The folded graph in other forms, the very one that lowering the network anew gives; None where it takes that."""
        operators: list[Operator] = []
        tensors = {name: self._graph.tensors[name] for name in self._graph.inputs}
        names: dict[str, str] = {}
        for part in self._parts if self._are_apart else ():
            piece = self._piece(part, forms)
            if piece is None:
                return None
            operators += piece.reading(names) if names else piece.operators
            tensors.update(piece.own)
            both = zip(part.section.outputs, piece.outputs, strict=True)
            names.update((usual, other) for usual, other in both if usual != other)
        if not operators:
            return None
        outputs = tuple(names.get(name, name) for name in self._graph.outputs)
        return fold.carry_relu6(Graph(tensors, tuple(operators), self._graph.inputs, outputs))

    def _section(self, operators: tuple[Operator, ...]) -> Graph:
        """Operators of the graph as one by itself: it takes what others write, and gives what others read."""
        graph, written = self._graph, [op.outputs[0] for op in operators]
        read = [name for op in operators for name in op.inputs if name is not None]
        inputs = dict.fromkeys(name for name in read if graph.tensors[name].data is None and name not in written)
        outputs = [n for n in written if n in graph.outputs or len(self._readers.get(n, ())) > read.count(n)]
        return Graph(graph.tensors, operators, tuple(inputs), tuple(outputs)).rebuilt(operators)

    def _shares_nothing(self, calls: Sequence[Call]) -> bool:
        """Whether the parts have nothing in common but maps that one writes and others read."""
        called = [part.call for part in self._parts if part.call is not None]
        choices = [choice for call in calls for choice in call.met]
        order = [*self._graph.inputs]
        for part in self._parts:
            order += [name for name in part.section.tensors if name not in part.section.inputs]
        return (
            called == list(calls)  # none is dead, none in two parts
            and len(set(choices)) == len(choices)  # a layer that is called twice has one form for both
            and order == list(self._graph.tensors)
        )

    def _piece(self, part: _Part, forms: Forms) -> _Piece | None:
        call = part.call
        form = () if call is None else call.form(forms)
        if form not in part.forms:
            assert call is not None
            part.forms[form] = self._other(part, call, forms)
        return part.forms[form]

    def _other(self, part: _Part, call: Call, forms: Forms) -> _Piece | None:
        """The piece of a layer in a form that it has not been lowered in."""
        met = Forms(forms.wanted)
        builder = Builder(met)
        for value in call.read:
            builder.given(value)
        result = call.lower(builder)
        if not (isinstance(result, Value) and isinstance(call.result, Value) and met.met == call.met):
            return None
        if replace(result, name=call.result.name) != call.result or result.margins != NO_MARGINS:
            return None
        return self._fitting(part, fold.drop_dead(builder.finish(call.read, [result])))

    def _fitting(self, part: _Part, section: Graph) -> _Piece | None:
        """The piece of a section, if it can be in the place of a part without anything else becoming different."""
        read = {name for op in section.operators for name in op.inputs}
        computed = set(section.inputs).difference(self._graph.inputs)
        if any(op.inputs[0] in computed and fold.joins(section, i) for i, op in enumerate(section.operators)):
            return None  # it may become a part of what is in front, whatever form that has
        if part.call is not None and (len(section.outputs) != 1 or not read.issuperset(part.section.inputs)):
            return None
        piece = _Piece.of(section)
        others = [each for each in self._parts if each is not part and (each.call or part.call)]
        known = [other for each in others for other in each.forms.values() if other is not None]
        return None if any(piece.places & other.places for other in known) else piece
