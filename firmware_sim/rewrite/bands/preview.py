"""The bands that a model would get, before there is a file of it: the same search on what reading the file would give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.memory.account import account
from firmware_sim.memory.elements import ALIGNMENT_BYTES
from firmware_sim.memory.offline import METADATA, RECORD
from firmware_sim.model import Model
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import profiles_of
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import EXPLICIT, LOOP
from firmware_sim.rewrite.bands.pricing import Price, Pricer
from firmware_sim.rewrite.bands.reasons import unfit
from firmware_sim.rewrite.bands.run import is_sound
from firmware_sim.rewrite.bands.search import Goal, Search
from firmware_sim.rewrite.bands.stage import cuts
from firmware_sim.rewrite.draft import Draft, graphs_of, model_of
from firmware_sim.rewrite.order_costs import order_costs
from firmware_sim.rewrite.records import Record
from firmware_sim.rewrite.reorder import Costs, reorder

QUICK_LIMITS: Final = 3
"""How many limits a quick search proposes bands for."""

# Of a tensor and an operator more in a file: tables, offsets, alignment, an entry of a name.
_TENSOR_BYTES: Final = 112
_OPERATOR_BYTES: Final = 72
_SCALE_BYTES: Final = 4 + 8
_GRAPH_BYTES: Final = 128
_FIXED_BYTES: Final = 512  # operator codes, metadata, constants of the slices


@dataclass(frozen=True, slots=True)
class Previewed:
    """A model with layers in bands and the plan for them, and what was chosen. Its size is an estimate from above."""

    model: Model
    bandings: tuple[Banding, ...]


def best(
    model: Model, kernels: str, profile: Profile, max_extra_macs: float, *, below_bytes: int, form: str = EXPLICIT
) -> Previewed | None:
    """What `firmware_sim.rewrite.bands.run.bands` writes for the file of a model.

    Args:
        model: without a plan, and without anything that cleaning would remove.
        kernels: the kernel class whose builds are to run it.
        profile: the build whose arena is to be small.
        max_extra_macs: multiply-accumulates that may be added, as a share of those that there are.
        below_bytes: an arena that is had without bands: None is given back where bands are not below it.
        form: how bands are written; see `firmware_sim.rewrite.bands.forms.FORMS`.
    """
    return _first(model, kernels, profile, max_extra_macs, below_bytes, form, quick=False)


def quick(
    model: Model, kernels: str, profile: Profile, max_extra_macs: float, *, below_bytes: int, form: str = EXPLICIT
) -> Previewed | None:
    """Bands from a few proposals: rarely the best, and never better than what `best` finds in the same model."""
    return _first(model, kernels, profile, max_extra_macs, below_bytes, form, quick=True)


def like(
    model: Model, kernels: str, profile: Profile, bandings: Sequence[Banding], *, form: str = EXPLICIT
) -> Previewed | None:
    """The bands of a network on one that differs in its channels; None where these layers are no stages of it."""
    draft = _draft(model, kernels)
    found = cuts(draft.graphs[0])
    moved = []
    for one in bandings:
        stage = found.stage(one.stage.first, one.stage.last) if one.stage.last < len(found.layers) else None
        if stage is None or (stage.rows, len(stage.layers)) != (one.stage.rows, len(one.stage.layers)):
            return None
        moved.append(replace(one, stage=stage))
    pricer = Pricer(draft, kernels, profile, form)
    price = pricer.price(moved)
    return None if price is None else _previewed(pricer, price)


def floor_bytes(model: Model, kernels: str) -> int:
    """What no bands of a model lower: operators that do not work row by row need their operands as a whole."""
    draft = _draft(model, kernels)
    return max(_operand_bytes(draft, order_costs(draft.model, kernels)), default=0)


def _operand_bytes(draft: Draft, costs: Costs) -> Iterator[int]:
    """What each operator that does not work row by row needs at least. Sizes are rounded up, which views are not."""
    graph = draft.graphs[0]
    for operator, layer in zip(graph.operators, cuts(graph).layers, strict=True):
        if isinstance(layer, str):
            operands = {index for index in (*operator.inputs, *operator.outputs) if index in costs.sizes_bytes}
            sizes = [costs.sizes_bytes[index] - ALIGNMENT_BYTES + 1 for index in operands]
            # Of several inputs, some may be views of the same bytes; and what these copy may be there once.
            if not operands:
                continue
            if len(operands) > 2 or operator.op in ("CONCATENATION", "RESHAPE", "SLICE"):
                yield max(sizes)
            else:
                shared = max((costs.shared_bytes.get((operator.index, index), 0) for index in operands), default=0)
                yield sum(sizes) - shared


def _first(
    model: Model, kernels: str, profile: Profile, max_extra_macs: float, below_bytes: int, form: str, *, quick: bool
) -> Previewed | None:
    if unfit(model):
        return None
    pricer = Pricer(_draft(model, kernels), kernels, profile, form)
    goal = Goal(int(pricer.macs * (1 + max_extra_macs)))
    search = Search(pricer, goal)
    prices = _quick(search) if quick else search.run()
    old = {build: account(model, build, None) for build in profiles_of(kernels)}
    for price in sorted((price for price in prices if goal.allows(price) and price.bandings), key=goal.rank):
        if price.arena_bytes >= below_bytes:
            break
        found = _previewed(pricer, price)
        if is_sound(found.model, kernels, old, {build: account(found.model, build, None) for build in old}):
            return found
    return None


def _quick(search: Search) -> Iterator[Price]:
    floor, head_bytes = search.proposer.floor_bytes(), search.plain.head_bytes
    if floor < head_bytes:
        ratio = head_bytes / max(floor, 1)
        most_macs, in_loops = search.goal.most_macs - search.pricer.macs, search.pricer.form == LOOP
        for number in range(QUICK_LIMITS):
            limit = int(floor * ratio ** (number / QUICK_LIMITS))
            for choice in search.proposer.best(limit, most_macs, most=1, in_loops=in_loops):
                search.pricer.price(choice.bandings)
    yield from search.ranked()


def _draft(model: Model, kernels: str) -> Draft:
    """A draft in the best order of operators, of which no file can be written: there are no records."""

    def opened(model: Model) -> Draft:
        return Draft(model, b"", Record("Model", {}), 0, graphs_of(model))

    draft = opened(model)
    graph, _ = reorder(draft.graphs[0], order_costs(model, kernels))
    return opened(model_of(draft.with_graph(0, graph)))


def _previewed(pricer: Pricer, price: Price) -> Previewed:
    file = pricer.written(price)
    model = model_of(file.draft)
    words = file.draft.plan(file.places(price.offsets))
    record = stored.record(pricer.kernels, bands=pricer.form, storages=file.storages())
    entries = {METADATA: words, RECORD: record}
    size_bytes = pricer.draft.model.size_bytes + _more_bytes(pricer.draft, file.draft) + sum(map(len, entries.values()))
    metadata = {**model.metadata, **{name: memoryview(data) for name, data in entries.items()}}
    return Previewed(replace(model, size_bytes=size_bytes, metadata=metadata), price.bandings)


def _more_bytes(before: Draft, after: Draft) -> int:
    """What the tables of new tensors and operators take in a file, at most."""
    old = before.graphs[0]
    operators = sum(len(graph.operators) for graph in after.all_graphs) - len(old.operators)
    total = _FIXED_BYTES + _GRAPH_BYTES * len(after.added) + _OPERATOR_BYTES * operators
    for graph in after.all_graphs:
        for index, tensor in graph.tensors.items():
            if index not in old.tensors or graph in after.added:
                scales = len(tensor.quantization.scale) if tensor.quantization else 0
                total += _TENSOR_BYTES + len(tensor.name) + _SCALE_BYTES * scales
    return total
