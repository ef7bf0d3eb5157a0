"""Puts the account of a model together: tail, lifetimes, plan, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from firmware_sim import costs
from firmware_sim.accounting import (
    ArenaUse,
    BufferUse,
    FlashUse,
    LayerUse,
    LiveBuffer,
    MemoryReport,
    ModelInfo,
    ProfileInfo,
    TailPart,
    TargetFit,
)
from firmware_sim.errors import ModelError
from firmware_sim.lifetimes import UNSET, Lifetimes, lifetimes
from firmware_sim.memory.elements import round_up
from firmware_sim.memory.head import HeadBuffer, head_buffers
from firmware_sim.memory.offline import OfflinePlan, offline_plan
from firmware_sim.memory.tail import Tail, tail
from firmware_sim.model import COMPRESSION_METADATA, Model
from firmware_sim.planners import BufferRequest, get, peak_bytes
from firmware_sim.planners.bounds import lower_bound_bytes
from firmware_sim.profiles import Profile

if TYPE_CHECKING:
    from firmware_sim.targets import Reserve, Target

_PLANNER: Final = "greedy"
_MAX_LIVE: Final = 100_000  # pairs of a layer and a live buffer; a network of a microcontroller has some hundreds


def account(
    model: Model,
    profile: Profile,
    target: Target | None,
    reserve: Reserve | None = None,
    *,
    doubts: tuple[str, ...] = (),
) -> MemoryReport:
    """See `firmware_sim.accounting.memreport`; `doubts` are further reasons why the figures are not exact."""
    plan = offline_plan(model)
    finished = tail(model, profile, plan)
    times = lifetimes(model)
    buffers = head_buffers(model.subgraphs, finished.tensors, finished.scratch, times, plan)
    offsets = get(_PLANNER)([buffer.request for buffer in buffers])
    arena = _arena(model, profile, finished, buffers, offsets, plan, doubts)
    return MemoryReport(
        model=ModelInfo(
            model.path,
            model.digest,
            model.size_bytes,
            sum(len(subgraph.operators) for subgraph in model.subgraphs),
            len(model.subgraphs),
        ),
        profile=ProfileInfo(profile.id, profile.pointer_bytes, profile.kernels, profile.isa),
        arena=arena,
        layers=_layers(model, finished, times, buffers, offsets),
        buffers=tuple(
            BufferUse(
                buffer.name,
                buffer.kind,
                buffer.request.size_bytes,
                offset,
                buffer.request.first,
                buffer.request.last,
            )
            for buffer, offset in zip(buffers, offsets, strict=True)
        ),
        flash=FlashUse(model.size_bytes),
        target=None if target is None else _fit(target, arena, model, reserve),
    )


def arena(model: Model, profile: Profile, finished: Tail | None = None) -> ArenaUse:
    """The arena of `account` alone, for callers that price many models; nothing that TFLM may refuse is looked for.

    `finished` is the tail, where it is known already; of a model without variables it does not depend on the plan.
    """
    plan = offline_plan(model)
    if finished is None:
        finished = tail(model, profile, plan)
    buffers = head_buffers(model.subgraphs, finished.tensors, finished.scratch, lifetimes(model), plan)
    offsets = get(_PLANNER)([buffer.request for buffer in buffers])
    return _arena(model, profile, finished, buffers, offsets, plan, ())


def _fit(target: Target, arena: ArenaUse, model: Model, reserve: Reserve | None) -> TargetFit:
    from firmware_sim.targets import DEFAULT_RESERVE, fit

    arena_bytes = arena.minimum_bytes or round_up(arena.total_bytes)
    return fit(target, arena_bytes, model.size_bytes, reserve=reserve or DEFAULT_RESERVE)


def _arena(
    model: Model,
    profile: Profile,
    finished: Tail,
    buffers: Sequence[HeadBuffer],
    offsets: Sequence[int],
    plan: OfflinePlan,
    doubts: tuple[str, ...],
) -> ArenaUse:
    requests = [buffer.request for buffer in buffers]
    head_bytes = peak_bytes(requests, offsets)
    total_bytes = head_bytes + finished.used_bytes
    unmodelled = (*_unmodelled(model, profile, finished), *doubts)
    inexact: dict[str, str] = {}
    if unmodelled:
        reason = "; ".join(unmodelled)
        inexact = dict.fromkeys(("total_bytes", "head_bytes", "tail_bytes", "lower_bound_bytes"), reason)
    minimum_bytes, doubt = _minimum(model, profile, finished, total_bytes, len(buffers))
    if unmodelled or doubt:
        inexact["minimum_bytes"] = inexact.get("total_bytes") or doubt
    if plan.offsets and _overlaps(requests, offsets):
        inexact["lower_bound_bytes"] = "the model's own plan lets buffers that are in use overlap"
    return ArenaUse(
        total_bytes=total_bytes,
        head_bytes=head_bytes,
        tail_bytes=finished.used_bytes,
        minimum_bytes=None if _has_unknown(finished) else minimum_bytes,
        lower_bound_bytes=lower_bound_bytes(requests),
        planner=_PLANNER,
        exact=not unmodelled,
        inexact=inexact,
        unmodelled=unmodelled,
        tail=tuple(TailPart(name, count) for name, count in finished.parts.items()),
    )


def _overlaps(requests: Sequence[BufferRequest], offsets: Sequence[int]) -> bool:
    from firmware_sim.planners.verify import violations

    return bool(violations(requests, offsets))


def _unmodelled(model: Model, profile: Profile, finished: Tail) -> tuple[str, ...]:
    notes = [f"{_place(model, key)}: {doubt}" for key, use in finished.operators.items() for doubt in use.doubts]
    if profile.compression and COMPRESSION_METADATA in model.metadata:
        notes.append("compressed tensors: their lookup tables and decompression buffers are left out")
    return tuple(notes)


def _place(model: Model, key: tuple[int, int]) -> str:
    subgraph, operator = key
    place = f"operator {operator} ({model.subgraphs[subgraph].operators[operator].op})"
    return f"subgraph {subgraph}, {place}" if subgraph else place


def _has_unknown(finished: Tail) -> bool:
    return any(use.is_unknown for use in finished.operators.values())


def _minimum(model: Model, profile: Profile, finished: Tail, total_bytes: int, planned: int) -> tuple[int, str]:
    """Smallest arena that initialises, a multiple of 16, and why it may be too large (empty if it is exact)."""
    startup = finished.startup
    certain = max(
        total_bytes,
        startup.persistent_peak_bytes,
        startup.planning_bytes(
            profile,
            subgraphs=len(model.subgraphs),
            tensors=sum(len(subgraph.tensors) for subgraph in model.subgraphs),
            requests=len(finished.scratch),
            planned=planned,
        ),
    )
    if startup.temporary_peak_bytes <= round_up(certain):
        return round_up(certain), ""
    return round_up(startup.temporary_peak_bytes), (
        "at most; temporary tensors of a kernel's Prepare decide it, of which only an upper bound is known"
    )


def _layers(
    model: Model,
    finished: Tail,
    times: Lifetimes,
    buffers: Sequence[HeadBuffer],
    offsets: Sequence[int],
) -> tuple[LayerUse, ...]:
    keys = [
        (number, operator.index) for number, subgraph in enumerate(model.subgraphs) for operator in subgraph.operators
    ]
    live = _live(model, keys, times, buffers, offsets)
    peak = max((sum(buffer.bytes for buffer in entry) for entry in live.values()), default=0)
    scratch = dict.fromkeys(keys, 0)
    for request in finished.scratch:
        scratch[request.subgraph, request.operator] += round_up(request.bytes)
    return tuple(_layer(model, key, finished, times, live.get(key, ()), scratch[key], peak) for key in keys)


def _live(
    model: Model,
    keys: Sequence[tuple[int, int]],
    times: Lifetimes,
    buffers: Sequence[HeadBuffer],
    offsets: Sequence[int],
) -> Mapping[tuple[int, int], tuple[LiveBuffer, ...]]:
    """Buffers alive when each operator starts, by offset: a sweep over time."""
    ends = _ends(keys, times)
    entries = [
        LiveBuffer(buffer.name, buffer.request.size_bytes, offset, "waiting", ends.get(buffer.request.last))
        for buffer, offset in zip(buffers, offsets, strict=True)
    ]
    coming = sorted(range(len(buffers)), key=lambda number: -buffers[number].request.first)
    active: list[int] = []
    live: dict[tuple[int, int], tuple[LiveBuffer, ...]] = {}
    listed = 0
    for key in sorted((key for key in keys if key in times.operators), key=lambda k: times.operators[k].first):
        time = times.operators[key].first
        active = [number for number in active if buffers[number].request.last >= time]
        while coming and buffers[coming[-1]].request.first <= time:
            number = coming.pop()
            if buffers[number].request.last >= time:
                active.append(number)
        listed += len(active)
        if listed > _MAX_LIVE:
            raise ModelError(f"more than {_MAX_LIVE} pairs of a layer and a buffer alive in it")
        ordered = sorted(active, key=lambda n: (offsets[n], n))
        roles = _Roles(model, key, times, time)
        live[key] = tuple(roles.given(entries[number], buffers[number]) for number in ordered)
    return live


def _ends(keys: Sequence[tuple[int, int]], times: Lifetimes) -> Mapping[int, int]:
    """Time to the position of the layer that finishes then; the caller's, where it finishes with what it called."""
    called = [(position, key) for position, key in enumerate(keys) if key in times.operators]
    return {times.operators[key].last: position for position, key in reversed(called)}


class _Roles:
    """What buffers are to one operator. A buffer is known by what is planned of its tensor: name and lifetime."""

    def __init__(self, model: Model, key: tuple[int, int], times: Lifetimes, time: int) -> None:
        number, index = key
        operator = model.subgraphs[number].operators[index]
        self._time = time
        self._roles: dict[tuple[int, str, int, int], Literal["input", "output"]] = {}
        named: tuple[tuple[Literal["input", "output"], tuple[int, ...]], ...] = (
            ("input", operator.inputs),
            ("output", operator.outputs),
        )
        for role, indices in named:
            for tensor in (tensor for tensor in indices if tensor >= 0):
                lifetime = times.tensors[number][tensor]
                name = model.subgraphs[number].tensors[tensor].name
                self._roles[number, name, lifetime.first, lifetime.last] = role

    def given(self, entry: LiveBuffer, buffer: HeadBuffer) -> LiveBuffer:
        """`entry` with its role; itself where it is only waiting, so that most layers share one object."""
        request = buffer.request
        if buffer.kind == "scratch":
            return _with_role(entry, "scratch") if request.first == self._time else entry
        role = self._roles.get((buffer.subgraph, buffer.name, request.first, request.last))
        return _with_role(entry, role) if role else entry


def _with_role(entry: LiveBuffer, role: Literal["input", "output", "scratch"]) -> LiveBuffer:
    return LiveBuffer(entry.tensor, entry.bytes, entry.offset, role, entry.until)


def _layer(
    model: Model,
    key: tuple[int, int],
    finished: Tail,
    times: Lifetimes,
    live: tuple[LiveBuffer, ...],
    scratch_bytes: int,
    peak_bytes: int,
) -> LayerUse:
    number, index = key
    subgraph = model.subgraphs[number]
    operator = subgraph.operators[index]
    use = finished.operators[key]
    live_bytes = sum(buffer.bytes for buffer in live)
    reason = "; ".join(use.doubts)
    figures = ("live_bytes", "scratch_bytes", "persistent_bytes") if reason else ()
    return LayerUse(
        index=index,
        op=operator.op,
        name=subgraph.tensors[operator.outputs[0]].name if operator.outputs else "",
        live_bytes=live_bytes,
        scratch_bytes=scratch_bytes,
        persistent_bytes=use.persistent_bytes,
        macs=costs.macs(operator, finished.tensors[number]),
        weight_bytes=costs.weight_bytes(operator, subgraph.tensors),
        time=times.operators[key].first if key in times.operators else UNSET,
        peak=bool(live) and live_bytes == peak_bytes,
        live=live,
        subgraph=number,
        inexact=dict.fromkeys(figures, reason),
    )
