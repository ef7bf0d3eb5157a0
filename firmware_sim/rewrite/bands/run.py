"""Computes the early layers of a .tflite in bands of rows, where that makes the arena of stock TFLM smaller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from firmware_sim import memreport
from firmware_sim.accounting import MemoryReport
from firmware_sim.errors import UsageError
from firmware_sim.memory.offline import RECORD
from firmware_sim.model import Model, read
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import profiles_of
from firmware_sim.overlap.rules import ANY
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import EXPLICIT, FORMS
from firmware_sim.rewrite.bands.pricing import Price, Pricer
from firmware_sim.rewrite.bands.reasons import reason_against, unfit
from firmware_sim.rewrite.bands.search import Goal, Progress, Search, ladder
from firmware_sim.rewrite.clean import clean
from firmware_sim.rewrite.draft import Draft, finish, open_draft
from firmware_sim.rewrite.fold_padding import fold_padding
from firmware_sim.rewrite.int8_input import with_int8_input
from firmware_sim.rewrite.order_costs import order_costs
from firmware_sim.rewrite.reorder import reorder
from firmware_sim.rewrite.shrink import INT8_INPUT, BuildUse, PassUse, Shrunk, shrink

MAX_EXTRA_MACS: Final = 0.1
"""Multiply-accumulates that bands may add, as a share of those of the model, unless said otherwise."""

_RUNGS: Final = 12  # of the ladder that are reported

Reports = Mapping[Profile, MemoryReport]
"""Accounts of one model, by the build."""


@dataclass(frozen=True, slots=True)
class BandedStage:
    """Layers that are computed in bands.

    Attributes:
        source, result: names of the tensors between which they lie.
        operators: how many.
        rows: rows of the result.
        heights: of these per band, from the top to the bottom.
        upward: the lowest rows are computed first.
        again: names of maps whose rows do not stay although others do.
        banding: all of it.
    """

    source: str
    result: str
    operators: int
    rows: int
    heights: tuple[int, ...]
    upward: bool
    again: tuple[str, ...]
    banding: Banding


@dataclass(frozen=True, slots=True)
class Rung:
    """What a number of multiply-accumulates can buy: `bands` are those of all stages together."""

    macs: int
    arena_bytes: int
    head_bytes: int
    bands: int
    chosen: bool


@dataclass(frozen=True, slots=True)
class Banded:
    """A model with layers in bands.

    Attributes:
        shrunk: the file and what it costs; where bands do not help, what `firmware_sim.rewrite.shrink` makes of the model.
        form: how bands are written; None without bands.
        stages: what is computed in bands.
        rungs: other choices, the fewest multiplications first.
        macs: multiply-accumulates of the model that was given.
        operators: kinds of operators that the firmware has to register beside those of the model.
        reason: why there are no bands, and what would help; empty if there are.
    """

    shrunk: Shrunk
    form: str | None
    stages: tuple[BandedStage, ...]
    rungs: tuple[Rung, ...]
    macs: int
    operators: tuple[str, ...] = ()
    reason: str = ""


def bands(
    content: bytes,
    *,
    kernels: str = ANY,
    profile: Profile | None = None,
    max_extra_macs: float = MAX_EXTRA_MACS,
    arena_bytes: int | None = None,
    form: str = EXPLICIT,
    name: str = "<bytes>",
    progress: Progress = lambda _: None,
    int8_input: bool = False,
) -> Banded:
    """Rewrite a model. The result is replayed for its kernels; running it is `firmware_sim.rewrite.bands.proof`'s.

    Args:
        content: a .tflite file.
        kernels: the kernel class whose builds are to run it.
        profile: the build whose arena is to be small; by default the first of the class.
        max_extra_macs: multiply-accumulates that may be added, as a share of those that there are.
        arena_bytes: an arena that is small enough: with the fewest multiplications that reach it.
        form: how bands are written; see `firmware_sim.rewrite.bands.forms.FORMS`.
        name: what to call the model.
        progress: told what goes on.
        int8_input: let the model take int8 where it quantises its input at once; this changes its interface.

    Raises:
        ModelError: the file cannot be read, TFLM refuses it, it cannot be rewritten without loss, or `int8_input` was asked
            for and no input can become int8.
        UsageError: there is no such kernel class or form, or `profile` does not belong to the class.
    """
    if max_extra_macs < 0:
        raise UsageError("bands cannot have fewer multiplications than none")
    if form not in FORMS:
        raise UsageError(f"unknown form {form!r}", hint=f"forms: {', '.join(FORMS)}")
    profile = profile or profiles_of(kernels)[0]
    progress("shrinking without bands")
    plain = shrink(content, kernels=kernels, profile=profile, name=name, int8_input=int8_input)
    start = with_int8_input(content, name=name)[0] if int8_input else content
    macs = sum(layer.macs for layer in plain.before.layers)
    reason = unfit(read(start, name=name))
    if reason:
        return Banded(plain, None, (), (), macs, reason=reason)
    goal = Goal(int(macs * (1 + max_extra_macs)), arena_bytes)
    searches: list[Search] = []
    prices: list[tuple[Price, Search]] = []
    for draft in _variants(start, kernels, name, searches):
        search = Search(Pricer(draft, kernels, profile, form), goal, progress, [price for price, _ in prices])
        searches.append(search)
        prices += [(price, search) for price in search.run()]
    allowed = [entry for entry in prices if goal.allows(entry[0]) and entry[0].bandings]
    given = read(content, name=name)
    old = {build: memreport(given, profile=build) for build in profiles_of(kernels)}
    before = plain.after.arena.needed_bytes
    for price, search in sorted(allowed, key=lambda entry: goal.rank(entry[0])):
        if price.arena_bytes >= before:
            if arena_bytes is None:
                break
            continue
        found = _finished(plain, price, search.pricer, old, name)
        if found is not None:
            rungs = _rungs([entry[0] for entry in prices], price)
            stages = tuple(_stage(search, banding) for banding in price.bandings)
            return Banded(found, form, stages, rungs, macs, _new_operators(content, found.content))
    reason = reason_against(searches[0].proposer, goal.most_macs, plain.after.arena.head_bytes)
    return Banded(plain, None, (), _rungs([entry[0] for entry in prices], None), macs, reason=reason)


def _variants(content: bytes, kernels: str, name: str, searches: Sequence[Search]) -> Iterator[Draft]:
    """With every PAD as it is, with all folded, and with those folded that the best bands of the first leave alone."""
    first = _prepared(open_draft(content, name=name), kernels)
    yield first
    folded = _prepared(fold_padding(first), kernels)
    if folded.graphs == first.graphs:
        return
    yield folded
    best = next((price for price in searches[0].ranked() if price.bandings), None)
    inside = {
        position
        for banding in (best.bandings if best else ())
        for position in range(banding.stage.first, banding.stage.last + 1)
    }
    outside = {
        operator.index
        for position, operator in enumerate(first.graphs[0].operators)
        if operator.op.startswith("PAD") and position not in inside
    }
    partly = _prepared(fold_padding(first, outside), kernels)
    if inside and partly.graphs not in (first.graphs, folded.graphs):
        yield partly


def _prepared(draft: Draft, kernels: str) -> Draft:
    """Without what does nothing, in the best order, and read again so that numbers are in that order."""
    draft = open_draft(finish(clean(draft)), name=draft.model.path)
    graph, _ = reorder(draft.graphs[0], order_costs(draft.model, kernels))
    return open_draft(finish(draft.with_graph(0, graph)), name=draft.model.path)


def _finished(plain: Shrunk, price: Price, pricer: Pricer, old: Reports, name: str) -> Shrunk | None:
    """The file of a choice and its account; None where some build would get worse, or a kernel could not bear the plan.

    `old` are the accounts of the model as it was.
    """
    kernels = pricer.kernels
    file = pricer.written(price)
    metadata = {RECORD: stored.record(kernels, bands=pricer.form, storages=file.storages())}
    result = finish(replace(file.draft, offsets=file.places(price.offsets), metadata=metadata))
    model = read(result, name=name)
    new = {build: memreport(model, profile=build) for build in old}
    if not is_sound(model, kernels, old, new):
        return None
    profile = pricer.profile
    passes = tuple(use for use in plain.passes if use.name == INT8_INPUT)
    cleaned = _use("clean", memreport(read(finish(pricer.draft), name=name), profile=profile))
    last = passes[-1] if passes else _use("clean", plain.before)
    if replace(cleaned, name=last.name) != last:
        passes = (*passes, cleaned)
    return Shrunk(
        content=result,
        kernels=kernels,
        before=plain.before,
        after=new[profile],
        passes=(*passes, replace(_use("bands", new[profile]), macs=price.macs)),
        builds=tuple(BuildUse.of(build, old[build], new[build]) for build in old),
        bound_bytes=price.bound_bytes,
        floor_bytes=None,
        libraries=stored.safe_libraries(model),
        notes=tuple(note for note in plain.notes if not note.startswith("nothing to gain")),
        inputs=plain.inputs,
    )


def is_sound(model: Model, kernels: str, old: Reports, new: Reports) -> bool:
    """Kernels bear the plan of a model in bands, and no build needs more than it did.

    Args:
        model: with its plan.
        kernels: the kernel class.
        old: the accounts before.
        new: those of `model`, for the same builds.
    """
    if any(new[build].arena.total_bytes > report.arena.total_bytes for build, report in old.items()):
        return False
    return not any(map(_is_unaligned, new.values())) and not stored.damages(model, kernels)


def _is_unaligned(report: MemoryReport) -> bool:
    """Kernels read scratch buffers in words; TFLM puts one behind a tensor that begins anywhere."""
    return any(buffer.kind == "scratch" and buffer.bytes and buffer.offset % 16 for buffer in report.buffers)


def _use(name: str, report: MemoryReport) -> PassUse:
    macs = sum(layer.macs for layer in report.layers)
    return PassUse(name, report.arena.head_bytes, report.arena.total_bytes, report.model.bytes, macs)


def _stage(search: Search, banding: Banding) -> BandedStage:
    tensors = search.pricer.draft.graphs[0].tensors
    stage = banding.stage
    names = tensors[stage.source].name, tensors[stage.result].name
    again = tuple(tensors[index].name for index in sorted(banding.again))
    return BandedStage(*names, len(stage.layers), stage.rows, banding.heights, banding.upward, again, banding)


def _rungs(prices: Sequence[Price], chosen: Price | None) -> tuple[Rung, ...]:
    rungs = [price for price in ladder(prices) if price.bandings or chosen is None or price.macs <= chosen.macs]
    if chosen is not None and chosen not in rungs:
        rungs = sorted([*rungs, chosen], key=lambda price: (price.macs, -price.arena_bytes))
    while len(rungs) > _RUNGS:
        # The step that is missed least goes first.
        gains = [
            (one.arena_bytes - other.arena_bytes, number)
            for number, (one, other) in enumerate(pairwise(rungs), 1)
            if other is not chosen
        ]
        del rungs[min(gains)[1]]
    return tuple(
        Rung(
            price.macs,
            price.arena_bytes,
            price.head_bytes,
            sum(len(one.heights) for one in price.bandings),
            price is chosen,
        )
        for price in rungs
    )


def _new_operators(before: bytes, after: bytes) -> tuple[str, ...]:
    kinds = [
        {operator.op for subgraph in read(content).subgraphs for operator in subgraph.operators}
        for content in (before, after)
    ]
    return tuple(sorted(kinds[1] - kinds[0]))
