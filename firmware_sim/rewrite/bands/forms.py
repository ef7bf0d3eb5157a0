"""How bands are written into a file: with the operators that copy rows, without those that copy bytes onto themselves, or
with bands of one shape in a loop.

Search and plan always work on slices and concatenations. In the forms `views` and `loop` those of them that the plan makes
needless are left out afterwards: what they read and what they wrote then lie at the same place
(`firmware_sim.overlap.storage`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware_sim.lifetimes import UNSET, Lifetime, Lifetimes, lifetimes
from firmware_sim.model import Model, Operator, Subgraph
from firmware_sim.overlap.plan import CHOICES
from firmware_sim.overlap.storage import Storage
from firmware_sim.overlap.views import KINDS, View, cut, parts, resolved, views
from firmware_sim.rewrite.bands.build import Banding, Run, banded, banded_in_loops
from firmware_sim.rewrite.bands.loops import looped
from firmware_sim.rewrite.draft import NEW_OPERATOR, Draft, model_of

EXPLICIT: Final = "explicit"
VIEWS: Final = "views"
LOOP: Final = "loop"

FORMS: Final[Mapping[str, str]] = {
    EXPLICIT: "slices and concatenations: legal TFLite anywhere",
    VIEWS: "tensors at places in others: less arena, right in TFLM with the plan in the file alone",
    LOOP: "equal bands in a loop, else as views: right in TFLM of November 2025 or later with the plan in the file alone",
}
"""Names of the forms, with what they are."""

Kinds = Collection[str]

_MOST_UNROLLED: Final = 16
"""Bands beyond which views lose against a loop what their copies could gain, and take long to plan."""


@dataclass(frozen=True, slots=True)
class Written:
    """Bands as a file has them.

    Attributes:
        draft: without the copies that the form leaves out.
        inside: tensors that lie in others though no operator says so, those in tensors that the file does not have too.
        seen: lifetimes of the tensors as TFLM sees them, in the numbers and times of what was planned; None where they are
            the same.
    """

    draft: Draft
    inside: Mapping[int, View] = field(default_factory=dict)
    seen: Lifetimes | None = None

    def places(self, offsets: Mapping[int, int]) -> tuple[dict[int, int], ...]:
        """Where the tensors of each subgraph go, by a plan of what was planned."""
        found = []
        for graph in self.draft.all_graphs:
            at = {index: resolved(index, self.inside) for index, tensor in graph.tensors.items() if tensor.data is None}
            found.append(
                {index: offsets[view.root] + view.offset_bytes for index, view in at.items() if view.root in offsets}
            )
        return tuple(found)

    def storages(self) -> tuple[Storage, ...]:
        """Tensors that share memory, by their running numbers over all subgraphs of the file."""
        numbers: dict[int, int] = {}
        total = 0
        for graph in self.draft.all_graphs:
            for number, index in enumerate(sorted(graph.tensors), total):
                if graph.tensors[index].data is None:
                    numbers[index] = number
            total += len(graph.tensors)
        found: dict[int, dict[int, int]] = {}
        for index in sorted({*self.inside, *(view.root for view in self.inside.values())}):
            root, offset = resolved(index, self.inside)
            if index in numbers:
                found.setdefault(root, {})[numbers[index]] = offset
        return tuple(storage for storage in found.values() if len(storage) > 1)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to write bands in a form.

    Attributes:
        draft: what is planned, with all copies.
        model: what reading its file would give.
        choices: tensors that may lie inside others, as `firmware_sim.overlap.plan.plan` takes it.
        ties: tensors that have to be where others are.
        file: what is written.
    """

    draft: Draft
    model: Model
    choices: Sequence[Kinds]
    ties: Mapping[int, int]
    file: Written


def ways(draft: Draft, bandings: Sequence[Banding], form: str, scratch: Collection[int] = ()) -> Iterator[Way]:
    """The ways to write bands, of which the best is to be taken; always the same ones in one order.

    Args:
        draft: without bands.
        bandings: the bands.
        form: one of the `FORMS`.
        scratch: operators that ask for scratch buffers.
    """
    if form == LOOP:
        graph, runs = banded_in_loops(draft.graphs[0], bandings)
        if runs:
            rolled = draft.with_graph(0, graph)
            numbers = {index: number for number, index in enumerate(sorted(graph.tensors))}
            ties = {numbers[other]: numbers[one] for run in runs for one, other in run.ties()}
            rolled_model = model_of(rolled)
            yield Way(rolled, rolled_model, (KINDS,), ties, _bare(rolled, rolled_model, KINDS, runs, scratch))
            if sum(len(one.heights) for one in bandings) > _MOST_UNROLLED:
                return
    planned = draft.with_graph(0, banded(draft.graphs[0], bandings))
    model = model_of(planned)
    if form == EXPLICIT or not bandings:
        yield Way(planned, model, CHOICES, {}, Written(planned))
        return
    for kinds in CHOICES:  # a copy into a place that is free is sometimes better than none
        yield Way(planned, model, (kinds,), {}, _bare(planned, model, kinds, ()))


def _bare(draft: Draft, model: Model, kinds: Kinds, runs: Sequence[Run], scratch: Collection[int] = ()) -> Written:
    """A draft without the copies that are onto themselves."""
    graph, subgraph = draft.graphs[0], model.subgraphs[0]
    numbers = sorted(graph.tensors)
    found = views(subgraph, subgraph.tensors, kinds)
    inside: dict[int, View] = {}
    kept: list[Operator] = []
    for operator, original in zip(subgraph.operators, graph.operators, strict=True):
        copies = _onto_themselves(operator, subgraph, found) if original.index == NEW_OPERATOR else {}
        inside.update({numbers[index]: View(numbers[view.root], view.offset_bytes) for index, view in copies.items()})
        if not copies:
            kept.append(operator)
    if not inside:
        return Written(draft)
    bare = replace(graph, operators=tuple(graph.operators[operator.index] for operator in kept))
    bare = replace(bare, tensors={index: graph.tensors[index] for index in bare.used()})
    seen = _seen(model_of(draft.with_graph(0, bare)), kept, sorted(bare.tensors), numbers, model)
    if not runs:
        return Written(draft.with_graph(0, bare), inside, seen)
    loops, more = looped(bare, graph.tensors, runs, scratch)
    return Written(replace(draft, graphs=loops[:1], added=loops[1:]), {**inside, **more}, seen)


def _onto_themselves(operator: Operator, subgraph: Subgraph, found: Mapping[int, View]) -> dict[int, View]:
    """What lies inside what, if the operator only copies bytes onto themselves; else nothing."""
    tensors, result = subgraph.tensors, operator.outputs[0]
    start = cut(operator, tensors)
    if start is not None:
        inside = {result: View(operator.inputs[0], start)}
    elif result in subgraph.outputs:
        # TFLM would take an output that nothing writes to be in use at the very end only.
        return {}
    else:
        inside = {index: View(result, offset) for index, offset in parts(operator, tensors).items()}
    is_kept = any(
        found[index].root != found[whole].root or found[index].offset_bytes != found[whole].offset_bytes + offset
        for index, (whole, offset) in inside.items()
    )
    return {} if is_kept else inside


def _seen(
    bare: Model, kept: Sequence[Operator], used: Sequence[int], numbers: Sequence[int], model: Model
) -> Lifetimes:
    """What nothing writes is in use from the start for TFLM, what nothing reads ends where it is written."""
    own = dict(zip(used, lifetimes(bare).tensors[0], strict=True))
    times = [0, *(operator.index + 1 for operator in kept)]
    nothing = Lifetime(UNSET, UNSET)

    def seen(lifetime: Lifetime) -> Lifetime:
        return nothing if lifetime.last == UNSET else Lifetime(times[max(lifetime.first, 0)], times[lifetime.last])

    return Lifetimes((tuple(seen(own.get(number, nothing)) for number in numbers),), lifetimes(model).operators)
