"""One budget held against one memory report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, Literal

from firmware_sim import sizes
from firmware_sim.accounting import MemoryReport
from firmware_sim.budget.budget import Budget, Increase
from firmware_sim.memory.elements import round_up
from firmware_sim.records import Record
from firmware_sim.report.diff import Measured

Kind = Literal[
    "arena", "flash", "board", "region", "arena-increase", "flash-increase", "operators", "runs", "plan", "exact"
]

ARENA_KINDS: Final = ("arena", "arena-increase", "board", "region")
"""The kinds of limits that a smaller arena can meet."""


class Status(Enum):
    """How a model stands to a limit; the worst comes last."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


class Limit(Record):
    """One thing that a budget asks for.

    Attributes:
        kind: what is limited.
        what: the same in words; names the board or region.
        status: how the model stands to it.
        used_bytes: what the model takes, or by how much it grew; None for what is no size or is not known.
        limit_bytes: most that is allowed.
        note: why a limit that is met is warned about, or why one that is no size is not met; what a reader has to know.
    """

    kind: Kind
    what: str
    status: Status
    used_bytes: int | None = None
    limit_bytes: int | None = None
    note: str = ""

    @property
    def margin_bytes(self) -> int | None:
        """What is left, in bytes; negative if the limit is exceeded."""
        return None if self.used_bytes is None or self.limit_bytes is None else self.limit_bytes - self.used_bytes

    @property
    def margin_percent(self) -> float | None:
        """What is left, in percent of the limit; None of a limit of 0."""
        return (
            100 * self.margin_bytes / self.limit_bytes if self.margin_bytes is not None and self.limit_bytes else None
        )


class Shrinkable(Record):
    """Shrinking the model for the kernels of its target would meet every limit on its arena: what it needs now and then."""

    kernels: str
    now_bytes: int
    then_bytes: int


class Verdict(Record):
    """What a budget says of one model.

    Attributes:
        budget: what is allowed.
        report: what is needed.
        limits: how the model stands to each.
        before: its figures in the baseline, None if they are not there.
        shrinkable: what shrinking would do, where that is known to be enough.
    """

    budget: Budget
    report: MemoryReport
    limits: tuple[Limit, ...]
    before: Measured | None = None
    shrinkable: Shrinkable | None = None

    @property
    def status(self) -> Status:
        """The worst status of its limits."""
        return worst(limit.status for limit in self.limits)

    @property
    def exceeded(self) -> bool:
        """Whether this makes a check fail."""
        return self.status is Status.FAIL and not self.budget.informational


def worst(statuses: Iterator[Status]) -> Status:
    """The worst of some statuses, PASS of none."""
    return max(statuses, key=list(Status).index, default=Status.PASS)


def needed_bytes(total_bytes: int, minimum_bytes: int | None) -> int:
    """The arena that counts: the smallest with which TFLM starts, or if that is unknown, what is known to be used."""
    return round_up(total_bytes) if minimum_bytes is None else max(minimum_bytes, total_bytes)


def check(
    budget: Budget,
    report: MemoryReport,
    *,
    before: Measured | None = None,
    accept: bool = False,
    more: Sequence[Limit] = (),
) -> Verdict:
    """Hold a budget against the report of a model that was made for the budget's target.

    Args:
        budget: what is allowed.
        report: what is needed. The arena that counts is the smallest one with which TFLM initialises, which can be more
            than what it uses in the end.
        before: the model's figures in the baseline.
        accept: the present figures become the baseline, so growth does not count.
        more: what was found out besides, from `firmware_sim.budget.running`.
    """
    limits = [*_sizes(budget, report), *_board(budget, report), *_growth(budget, report, before, accept)]
    limits += _operators(budget, report)
    limits += more
    limits += _exactness(budget, report)
    return Verdict(budget, report, tuple(limits), before)


def _sizes(budget: Budget, report: MemoryReport) -> Iterator[Limit]:
    needed = needed_bytes(report.arena.total_bytes, report.arena.minimum_bytes)
    if budget.arena_bytes is not None:
        yield _arena_limit(budget, report, "arena", "arena", needed, budget.arena_bytes)
    if budget.flash_bytes is not None:
        yield _limit(budget, "flash", "flash", report.flash.model_bytes, budget.flash_bytes)


def _board(budget: Budget, report: MemoryReport) -> Iterator[Limit]:
    target = report.target
    if target is None:
        return
    needed = needed_bytes(report.arena.total_bytes, report.arena.minimum_bytes)
    limit = _arena_limit(budget, report, "board", target.id, needed, needed + target.margin_bytes)
    if not target.fits and limit.status is not Status.FAIL:
        regions = ", ".join(region.name for region in target.regions if not region.fits)
        limit = Limit("board", target.id, Status.FAIL, needed, limit.limit_bytes, f"too much for {regions}")
    yield limit
    used = {region.name: region for region in target.regions}
    for name, most in budget.regions.items():
        region = used.get(name)
        taken = 0 if region is None else region.used_bytes
        if region is None or region.kind == "flash":
            yield _limit(budget, "region", f"region {name}", taken, most)
        else:
            yield _arena_limit(budget, report, "region", f"region {name}", taken, most)


def _growth(budget: Budget, report: MemoryReport, before: Measured | None, accept: bool) -> Iterator[Limit]:
    arena = report.arena
    figures = {} if before is None else before.figures
    total = figures.get("total_bytes")
    rows: tuple[tuple[Kind, str, Increase | None, int, int | None], ...] = (
        (
            "arena-increase",
            "arena growth",
            budget.arena_increase,
            needed_bytes(arena.total_bytes, arena.minimum_bytes),
            None if total is None else needed_bytes(total, figures.get("minimum_bytes")),
        ),
        (
            "flash-increase",
            "flash growth",
            budget.flash_increase,
            report.flash.model_bytes,
            figures.get("model_bytes"),
        ),
    )
    for kind, what, increase, now, then in rows:
        if increase is None:
            continue
        if accept:
            yield Limit(kind, what, Status.PASS, note="accepted into the baseline")
        elif then is None:
            yield Limit(kind, what, Status.PASS, note="not judged: this model is not in the baseline")
        else:
            inexact = kind == "arena-increase" and not (report.arena.exact and before is not None and before.exact)
            doubt = "the figures that are compared are not exact" if inexact else ""
            yield _limit(budget, kind, what, now - then, increase.allowed_bytes(then), doubt)


def _operators(budget: Budget, report: MemoryReport) -> Iterator[Limit]:
    if budget.allow_ops is None:
        return
    places: dict[str, list[str]] = {}
    for layer in report.layers:
        if layer.op not in budget.allow_ops:
            place = f"{layer.subgraph}:{layer.index}" if report.model.subgraphs > 1 else str(layer.index)
            places.setdefault(layer.op, []).append(place)
    if not places:
        yield Limit("operators", "operators", Status.PASS)
        return
    found = "; ".join(f"{op} at {_listed(layers)}" for op, layers in places.items())
    yield Limit("operators", "operators", Status.FAIL, note=f"not allowed: {found}")


def _listed(layers: list[str], most: int = 5) -> str:
    word = "layer" if len(layers) == 1 else "layers"
    return f"{word} {', '.join(layers[:most])}{f' and {len(layers) - most} more' if layers[most:] else ''}"


def _exactness(budget: Budget, report: MemoryReport) -> Iterator[Limit]:
    if not budget.exact:
        return
    reasons = [report.arena.inexact[name] for name in ("total_bytes", "minimum_bytes") if name in report.arena.inexact]
    if reasons or not report.arena.exact:
        note = "; ".join(dict.fromkeys(reasons or report.arena.unmodelled))
        yield Limit("exact", "exact figures", Status.FAIL, note=note)
    else:
        yield Limit("exact", "exact figures", Status.PASS)


def _doubt(report: MemoryReport) -> str:
    return "; ".join(["the figure is not exact", *report.arena.unmodelled])


def _arena_limit(budget: Budget, report: MemoryReport, kind: Kind, what: str, used: int, limit: int) -> Limit:
    """A figure that leaves something out is never a plain PASS; one that is an upper bound is, and says that it is one."""
    if not report.arena.exact:
        return _limit(budget, kind, what, used, limit, _doubt(report))
    found = _limit(budget, kind, what, used, limit)
    bound = report.arena.inexact.get("minimum_bytes")
    if not bound:
        return found
    note = "; ".join(part for part in (found.note, bound) if part)
    return Limit(kind, what, found.status, used, limit, note)


def _limit(budget: Budget, kind: Kind, what: str, used: int, limit: int, doubt: str = "") -> Limit:
    if used > limit:
        return Limit(kind, what, Status.FAIL, used, limit, doubt)
    if used > sizes.share_bytes(limit, budget.warn_at):
        near = f"above {100 * budget.warn_at:g} % of the limit"
        return Limit(kind, what, Status.WARN, used, limit, f"{near}; {doubt}" if doubt else near)
    return Limit(kind, what, Status.WARN if doubt else Status.PASS, used, limit, doubt)
