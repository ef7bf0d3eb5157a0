"""What a failed verdict tells besides: which layers moved most, and what would help.

The figures of `Remedy.saves_bytes` follow from the report alone: the gap between plan and lower bound, what start-up adds,
and by how much the fullest layers are too full. They are estimates of what is possible, not results of a tool; only that of
shrinking is what it gives.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, Literal

from firmware_sim.accounting import LayerUse, LiveBuffer, MemoryReport
from firmware_sim.budget.verdict import ARENA_KINDS, Limit, Status, Verdict, needed_bytes
from firmware_sim.memory.elements import round_up
from firmware_sim.records import Record
from firmware_sim.report.diff import LayerChange, compare, from_report
from firmware_sim.report.labels import position, shorten

MOVERS: Final = 3
_NAME_WIDTH: Final = 40
_MOST_NAMED: Final = 3
_FIGURES: Final = ("live_bytes", "persistent_bytes", "weight_bytes")


class Mover(Record):
    """A layer that changed against the baseline: by how much, and in which of its figures."""

    change: LayerChange
    figure: str

    @property
    def change_bytes(self) -> int:
        """After less before, in bytes."""
        return self.change.change(self.figure)


class Remedy(Record):
    """Something that would help.

    Attributes:
        kind: "shrink" (the same network in less memory), "plan" (a better memory plan), "prune" (fewer channels), "start-up"
            or "operators" (fewer tensors and operators), "weights" (a smaller file).
        saves_bytes: what it would save: at most of a plan and of start-up, else what has to go.
        text: the same in words.
    """

    kind: Literal["shrink", "plan", "prune", "start-up", "operators", "weights"]
    saves_bytes: int
    text: str

    @property
    def is_estimate(self) -> bool:
        """Nobody has carried it out."""
        return self.kind != "shrink"


class Advice(Record):
    """See the classes of its parts; both empty for a verdict that is no FAIL."""

    movers: tuple[Mover, ...] = ()
    remedies: tuple[Remedy, ...] = ()


def advise(verdict: Verdict) -> Advice:
    """Movers and remedies of a verdict."""
    if verdict.status is not Status.FAIL:
        return Advice()
    failed = [limit for limit in verdict.limits if limit.status is Status.FAIL]
    remedies = [
        *_shrinking(verdict),
        *_for_arena(verdict.report, _arena_excess(verdict.report, failed)),
        *_for_flash(verdict.report, _flash_excess(verdict.report, failed)),
    ]
    return Advice(_movers(verdict, failed), tuple(remedies))


def _shrinking(verdict: Verdict) -> Iterator[Remedy]:
    found = verdict.shrinkable
    if found is not None:
        saved = found.now_bytes - found.then_bytes
        # A board of the user's own has no name for the command, its profile has.
        target = verdict.budget.target if verdict.budget.board is None else verdict.report.profile.id
        yield Remedy(
            "shrink",
            saved,
            f"sapool shrink --target {target}: an arena of {found.then_bytes:,} bytes, {saved:,} less, for "
            f"the same outputs, with {found.kernels} kernels",
        )


def _movers(verdict: Verdict, failed: list[Limit]) -> tuple[Mover, ...]:
    if verdict.before is None:
        return ()
    difference = compare(verdict.before, from_report(verdict.report))
    only_flash = all(limit.kind in ("flash", "flash-increase") or _is_flash(verdict.report, limit) for limit in failed)
    for figure in reversed(_FIGURES) if only_flash else _FIGURES:
        changes = difference.movers(figure, MOVERS)
        if changes:
            return tuple(Mover(change, figure) for change in changes)
    return ()


def _arena_excess(report: MemoryReport, failed: list[Limit]) -> int:
    """The most by which the arena is too large, 0 if it is not."""
    most = 0
    for limit in failed:
        if limit.margin_bytes is None or limit.kind not in ARENA_KINDS:
            continue
        if limit.kind != "region":
            most = max(most, -limit.margin_bytes)
        elif not _is_flash(report, limit):
            most = max(most, _behind(report, limit) - limit.margin_bytes)
    return most


def _flash_excess(report: MemoryReport, failed: list[Limit]) -> int:
    """The most by which the model file is too large, 0 if it is not."""
    sizes = [limit for limit in failed if limit.kind in ("flash", "flash-increase") or _is_flash(report, limit)]
    return max((-limit.margin_bytes for limit in sizes if limit.margin_bytes is not None), default=0)


def _region(limit: Limit) -> str:
    return limit.what.removeprefix("region ")


def _is_flash(report: MemoryReport, limit: Limit) -> bool:
    rows = () if report.target is None or limit.kind != "region" else report.target.regions
    return any(row.name == _region(limit) and row.kind == "flash" for row in rows)


def _behind(report: MemoryReport, limit: Limit) -> int:
    """What the arena takes of the regions behind that of a limit: they empty first when it shrinks."""
    rows = () if report.target is None else report.target.regions
    used = [(row.name, row.used_bytes) for row in rows if row.kind != "flash"]
    place = next((number for number, (name, _) in enumerate(used) if name == _region(limit)), len(used))
    return sum(size for _, size in used[place + 1 :])


def _for_arena(report: MemoryReport, excess: int) -> Iterator[Remedy]:
    """How an arena that is `excess` bytes too large could become smaller."""
    arena = report.arena
    if excess <= 0 or not arena.exact:
        return
    used = round_up(arena.total_bytes)
    needed = needed_bytes(arena.total_bytes, arena.minimum_bytes)
    if needed > used and "minimum_bytes" not in arena.inexact:
        yield Remedy(
            "start-up",
            needed - used,
            f"fewer tensors and operators: what TFLM needs while it starts decides, {needed - used:,} bytes more than it "
            "uses afterwards; fewer channels and other plans do not change that",
        )
    excess -= needed - used
    if excess <= 0:
        return
    limit = used - excess
    if arena.tail_bytes >= limit:
        yield Remedy(
            "operators",
            excess,
            f"fewer operators: the tail alone takes {arena.tail_bytes:,} of {max(limit, 0):,} bytes, whatever the plan is",
        )
        return
    if "lower_bound_bytes" not in arena.inexact:
        yield from _for_head(report, excess)


def _for_head(report: MemoryReport, excess: int) -> Iterator[Remedy]:
    gap = max(report.arena.gap_bytes, 0)
    rest = excess - gap
    if gap:
        enough = "which could be enough" if rest <= 0 else f"which leaves {rest:,} bytes to save"
        yield Remedy(
            "plan",
            gap,
            f"a better memory plan, stored in the model: at most {gap:,} bytes, as no plan has a head below "
            f"{report.arena.lower_bound_bytes:,}; {enough}",
        )
    if rest <= 0:
        return
    target = report.arena.lower_bound_bytes - rest
    full = sorted((layer for layer in report.layers if layer.live_bytes > target), key=lambda layer: -layer.live_bytes)
    if full:
        yield _pruning(report, full, rest, target)


def _pruning(report: MemoryReport, full: list[LayerUse], rest: int, target: int) -> Remedy:
    """Bytes of an activation are in proportion to its channels, so a share of the bytes is a share of the channels."""
    fixed = {layer.time: layer.live_bytes - _prunable_bytes(report, layer) for layer in full}
    stuck = max(full, key=lambda layer: fixed[layer.time])
    if fixed[stuck.time] > target:
        text = (
            f"fewer channels are not enough: at layer {position(report, stuck)} {stuck.op}, inputs of the model and scratch "
            f"alone take {fixed[stuck.time]:,} bytes, and {max(target, 0):,} are left for all; a smaller input would help"
        )
        return Remedy("prune", rest, text)
    layer = full[0]
    prunable = [entry for entry in layer.live if _has_channels_to_spare(report, entry)]
    total = _prunable_bytes(report, layer)
    share = math.ceil(1000 * rest / total) / 10
    names = ", ".join(f"'{shorten(entry.tensor, _NAME_WIDTH)}'" for entry in prunable[:_MOST_NAMED])
    more = f" and {len(prunable) - _MOST_NAMED} more" if prunable[_MOST_NAMED:] else ""
    others = f"; {len(full) - 1} more layers also hold over {target:,} and have to shrink" if full[1:] else ""
    return Remedy(
        "prune",
        rest,
        f"fewer channels: layer {position(report, layer)} {layer.op} has to lose {rest:,} of the {total:,} bytes of "
        f"{names}{more}, at least {share:.1f} % of their channels{others}",
    )


def _prunable_bytes(report: MemoryReport, layer: LayerUse) -> int:
    return sum(entry.bytes for entry in layer.live if _has_channels_to_spare(report, entry))


def _has_channels_to_spare(report: MemoryReport, entry: LiveBuffer) -> bool:
    """Neither scratch nor an input of the model, whose channels are given."""
    if entry.role == "scratch":
        return False
    return not any(
        buffer.first <= 0 and (buffer.name, buffer.offset, buffer.bytes) == (entry.tensor, entry.offset, entry.bytes)
        for buffer in report.buffers
    )


def _for_flash(report: MemoryReport, excess: int) -> Iterator[Remedy]:
    largest = max(report.layers, key=lambda layer: layer.weight_bytes, default=None)
    if excess <= 0 or largest is None or not largest.weight_bytes:
        return
    share = 100 * largest.weight_bytes / report.flash.model_bytes
    yield Remedy(
        "weights",
        excess,
        f"fewer weights: {excess:,} bytes have to go; layer {position(report, largest)} {largest.op} has the most, "
        f"{largest.weight_bytes:,} bytes, {share:.1f} % of the file",
    )
