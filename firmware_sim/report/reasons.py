"""Why the peak is where it is, in words: what is alive at the fullest layers, and what the plan adds to that."""

from __future__ import annotations

from typing import Final, Literal

from firmware_sim.accounting import BufferUse, LayerUse, LiveBuffer, MemoryReport
from firmware_sim.records import Record
from firmware_sim.report.labels import position, shorten

_NAME_WIDTH: Final = 48
_MOST_NAMED: Final = 2
_ROLES: Final = ("output", "input", "scratch")


class Reason(Record):
    """One layer. `layer` is its position in `MemoryReport.layers`; the text says what its `live_bytes` consist of."""

    layer: int
    rank: Literal["peak", "runner-up"]
    live_bytes: int
    text: str


class Explanation(Record):
    """The head of one report.

    Attributes:
        layers: all peak layers, then all with the next lower number of live bytes.
        plan: how far the plan's head is from the lower bound, and which buffer lies at its end.
    """

    layers: tuple[Reason, ...]
    plan: str

    def most_telling(self, peaks: int) -> tuple[list[Reason], int]:
        """The first `peaks` peak layers and the first runner-up, and how many layers are as full as the peak besides."""
        fullest = [reason for reason in self.layers if reason.rank == "peak"]
        others = [reason for reason in self.layers if reason.rank == "runner-up"]
        return fullest[:peaks] + others[:1], len(fullest[peaks:])


def explain(report: MemoryReport) -> Explanation:
    """Say why the head of `report` is as large as it is; computed from what is alive, for any network."""
    sizes = sorted({layer.live_bytes for layer in report.layers if layer.live}, reverse=True)
    ranks: tuple[Literal["peak", "runner-up"], ...] = ("peak", "runner-up")
    reasons = [
        Reason(number, rank, size, _alive(report, layer))
        for rank, size in zip(ranks, sizes, strict=False)
        for number, layer in enumerate(report.layers)
        if layer.live and layer.live_bytes == size
    ]
    return Explanation(tuple(reasons), _plan(report))


def _alive(report: MemoryReport, layer: LayerUse) -> str:
    groups = {role: [entry for entry in layer.live if entry.role == role] for role in (*_ROLES, "waiting")}
    terms = [_term(role, groups[role]) for role in _ROLES if groups[role]]
    parts = [f"{' + '.join(terms)} bytes alive at once"] if terms else []
    shared = [entry for entry in groups["input"] if _outlives(report, layer, entry)]
    parts += [f"its input {_name(entry.tensor)} {_kept(report, entry)}" for entry in shared[:_MOST_NAMED]]
    waiting = sorted(groups["waiting"], key=lambda entry: -entry.bytes)
    parts += [f"{_name(entry.tensor)} ({entry.bytes:,}) {_kept(report, entry)}" for entry in waiting[:_MOST_NAMED]]
    rest = waiting[_MOST_NAMED:]
    if rest:
        parts.append(f"{len(rest)} more wait with {sum(entry.bytes for entry in rest):,} bytes")
    return "; ".join(parts)


def _term(role: str, entries: list[LiveBuffer]) -> str:
    total = sum(entry.bytes for entry in entries)
    if role == "scratch" or len(entries) == 1:
        return f"its {role} {total:,}"
    return f"its {len(entries)} {role}s {total:,}"


def _outlives(report: MemoryReport, layer: LayerUse, entry: LiveBuffer) -> bool:
    return entry.until is not None and report.layers[entry.until].time > layer.time


def _kept(report: MemoryReport, entry: LiveBuffer) -> str:
    if entry.until is None:
        return "stays in use"
    last = report.layers[entry.until]
    return f"is kept until the {last.op} at layer {position(report, last)}"


def _plan(report: MemoryReport) -> str:
    arena = report.arena
    bound = f"the lower bound of {arena.lower_bound_bytes:,} bytes"
    if arena.gap_bytes == 0:
        return f"The {arena.planner} plan meets {bound}: no placement of these buffers needs a smaller head."
    if arena.gap_bytes < 0:
        return f"The head is below {bound}: the model's own plan lets buffers that are in use overlap."
    top = [buffer for buffer in report.buffers if buffer.offset + buffer.bytes == arena.head_bytes]
    share = 100 * arena.gap_bytes / arena.lower_bound_bytes if arena.lower_bound_bytes else 0.0
    named = "; ".join(_top(report, buffer) for buffer in top[:_MOST_NAMED])
    return (
        f"The {arena.planner} plan's head of {arena.head_bytes:,} bytes is {arena.gap_bytes:,} ({share:.1f} %) above "
        f"{bound}. At its end lies {named}."
    )


def _top(report: MemoryReport, buffer: BufferUse) -> str:
    layers = [layer for layer in report.layers if buffer.first <= layer.time <= buffer.last]
    text = f"{_name(buffer.name)} ({buffer.bytes:,} at offset {buffer.offset:,})"
    if not layers:
        return text
    first = min(layers, key=lambda layer: layer.time)
    last = max(layers, key=lambda layer: layer.time)
    where = f"layer {position(report, first)}"
    return f"{text}, alive {f'from {where} to {position(report, last)}' if first is not last else f'at {where}'}"


def _name(name: str) -> str:
    return f"'{shorten(name, _NAME_WIDTH)}'"
