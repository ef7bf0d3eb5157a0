"""How bands are written into a file: with the operators that copy rows, or without those that copy bytes onto themselves.

Search and plan always work on slices and concatenations. In the form `views` those of them that the plan makes needless are
left out afterwards: what they read and what they wrote then lie at the same place (`firmware_sim.overlap.storage`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.lifetimes import UNSET, Lifetime, Lifetimes, lifetimes
from firmware_sim.model import Model, Operator, Subgraph
from firmware_sim.overlap.plan import CHOICES
from firmware_sim.overlap.storage import Storage
from firmware_sim.overlap.views import CUTS, KINDS, PARTS, View, cut, parts, views
from firmware_sim.rewrite.draft import NEW_OPERATOR, Draft, model_of

EXPLICIT: Final = "explicit"
VIEWS: Final = "views"

FORMS: Final[Mapping[str, str]] = {
    EXPLICIT: "slices and concatenations: legal TFLite anywhere",
    VIEWS: "tensors at places in others: less arena, right in TFLM with the plan in the file alone",
}
"""Names of the forms, with what they are."""

Kinds = Collection[str]

WAYS: Final[Mapping[str, tuple[tuple[Kinds, ...], ...]]] = {
    EXPLICIT: (CHOICES,),
    VIEWS: ((KINDS,), ({CUTS},), ({PARTS},), ((),)),
}
"""Per form the ways to write it, of which the best is taken: each a choice of tensors that lie inside others, as
`firmware_sim.overlap.plan.plan` takes it. A copy into a place that is free is sometimes better than none.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """Bands as a file has them.

    Attributes:
        draft: without the copies that the form leaves out.
        storages: tensors that share memory though no operator says so, by the numbers of the draft.
        seen: lifetimes of the tensors as TFLM sees them, in the numbers and times of the draft with all copies; None where
            they are the same.
    """

    draft: Draft
    storages: tuple[Storage, ...] = ()
    seen: Lifetimes | None = None


def written(draft: Draft, model: Model, form: str, kinds: Sequence[Kinds]) -> Written:
    """A draft with slices and concatenations in a form.

    Args:
        draft: with bands.
        model: what reading its file would give.
        form: one of `FORMS`.
        kinds: one of the form's `WAYS`.
    """
    if form == EXPLICIT:
        return Written(draft)
    graph, subgraph = draft.graphs[0], model.subgraphs[0]
    numbers = sorted(graph.tensors)
    found = views(subgraph, subgraph.tensors, kinds[0])
    inside: dict[int, View] = {}
    kept: list[Operator] = []
    for operator, original in zip(subgraph.operators, graph.operators, strict=True):
        copies = _onto_themselves(operator, subgraph, found) if original.index == NEW_OPERATOR else {}
        inside.update(copies)
        if not copies:
            kept.append(operator)
    if not inside:
        return Written(draft)
    operators = tuple(graph.operators[operator.index] for operator in kept)
    bare = replace(graph, operators=operators)
    used = bare.used()
    bare = replace(bare, tensors={index: tensor for index, tensor in graph.tensors.items() if index in used})
    result = draft.with_graph(0, bare)
    return Written(
        result, _storages(inside, numbers, used), _seen(model_of(result), kept, sorted(used), numbers, model)
    )


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


def _storages(inside: Mapping[int, View], numbers: Sequence[int], used: Collection[int]) -> tuple[Storage, ...]:
    found: dict[int, dict[int, int]] = {}
    for index in sorted({*inside, *(view.root for view in inside.values())}):
        root, offset = index, 0
        while root in inside:
            offset += inside[root].offset_bytes
            root = inside[root].root
        if numbers[index] in used:
            found.setdefault(root, {})[numbers[index]] = offset
    return tuple(found.values())


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


def numbered(written: Written) -> tuple[Storage, ...]:
    """The storages by the numbers of the file."""
    numbers = {index: number for number, index in enumerate(sorted(written.draft.graphs[0].tensors))}
    return tuple({numbers[index]: offset for index, offset in storage.items()} for storage in written.storages)
