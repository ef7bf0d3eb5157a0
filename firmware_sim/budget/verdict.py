"""One budget held against one memory report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from firmware_sim.accounting import MemoryReport
from firmware_sim.budget.budget import Budget


class Status(Enum):
    """How a model stands to a limit; the worst comes last."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a budget. `margin_bytes` is what is left, negative if it is exceeded.

    `what` is "arena", "flash", or the id of a board, whose limit is what its memory leaves for the arena. `note` says
    why a limit that is met is warned about, or what does not fit.
    """

    what: str
    used_bytes: int
    limit_bytes: int
    status: Status
    note: str = ""

    @property
    def margin_bytes(self) -> int:
        """What is left, in bytes."""
        return self.limit_bytes - self.used_bytes

    @property
    def margin_percent(self) -> float:
        """What is left, in percent of the limit."""
        return 100 * self.margin_bytes / self.limit_bytes if self.limit_bytes else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a budget says of one model."""

    budget: Budget
    report: MemoryReport
    limits: tuple[Limit, ...]

    @property
    def status(self) -> Status:
        """The worst status of its limits."""
        order = list(Status)
        return max((limit.status for limit in self.limits), key=order.index, default=Status.PASS)

    @property
    def exceeded(self) -> bool:
        """Whether this makes a check fail."""
        return self.status is Status.FAIL and not self.budget.informational


def check(budget: Budget, report: MemoryReport) -> Verdict:
    """Hold a budget against the report of a model that was made for the budget's target.

    The arena that counts is the smallest one with which TFLM initialises, which can be more than what it uses in the end.
    """
    arena = report.arena
    needed = max(arena.total_bytes, arena.minimum_bytes or 0)
    doubt = "" if arena.exact else "; ".join(["the figure is not exact", *arena.unmodelled])
    limits = []
    if budget.arena_bytes is not None:
        limits.append(_limit(budget, "arena", needed, budget.arena_bytes, doubt))
    if budget.flash_bytes is not None:
        limits.append(_limit(budget, "flash", report.flash.model_bytes, budget.flash_bytes, ""))
    if report.target is not None:
        room = needed + report.target.margin_bytes
        limit = _limit(budget, report.target.id, needed, room, doubt)
        if not report.target.fits and limit.status is not Status.FAIL:
            regions = ", ".join(region.name for region in report.target.regions if not region.fits)
            limit = Limit(limit.what, needed, room, Status.FAIL, f"too much for {regions}")
        limits.append(limit)
    return Verdict(budget, report, tuple(limits))


def _limit(budget: Budget, what: str, used: int, limit: int, doubt: str) -> Limit:
    if used > limit:
        return Limit(what, used, limit, Status.FAIL, doubt)
    if used > budget.warn_at * limit:
        return Limit(what, used, limit, Status.WARN, f"above {100 * budget.warn_at:g} % of the limit")
    return Limit(what, used, limit, Status.WARN if doubt else Status.PASS, doubt)
