"""Whether shrinking a model (`firmware_sim.rewrite.shrink`) would bring it under its budget."""

from __future__ import annotations

from pathlib import Path

from firmware_sim.accounting import memreport
from firmware_sim.budget.verdict import ARENA_KINDS, Limit, Shrinkable, Status, Verdict, check, needed_bytes
from firmware_sim.errors import SapoolError
from firmware_sim.model import read
from firmware_sim.reader import load


def with_shrinking(verdict: Verdict, path: Path) -> Verdict:
    """The verdict, with what shrinking gives where the arena is too large and would not be any more.

    The model is shrunk for that, which takes up to about a second, without running it in TFLM: `sapool shrink` does that
    before it writes anything.
    """
    failed = _failed(verdict)
    if not any(limit.kind in ARENA_KINDS for limit in failed):
        return verdict
    # Not imported before it is needed: it takes numpy.
    from firmware_sim.overlap.rules import class_of
    from firmware_sim.rewrite.shrink import shrink

    profile, target = verdict.budget.resolved()
    kernels = class_of(profile)
    try:
        shrunk = shrink(load(path), kernels=kernels, profile=profile, name=str(path))
        after = memreport(
            read(shrunk.content, name=str(path)), profile=profile, target=target, reserve=verdict.budget.reserve
        )
    except SapoolError:  # planned already, or nothing that can be rewritten
        return verdict
    then = _failed(check(verdict.budget, after, before=verdict.before))
    if any(limit.kind in ARENA_KINDS for limit in then) or _names(then) - _names(failed):
        return verdict
    now_bytes, then_bytes = (
        needed_bytes(each.arena.total_bytes, each.arena.minimum_bytes) for each in (verdict.report, after)
    )
    return verdict.replaced(shrinkable=Shrinkable(kernels, now_bytes, then_bytes))


def _failed(verdict: Verdict) -> list[Limit]:
    return [limit for limit in verdict.limits if limit.status is Status.FAIL]


def _names(limits: list[Limit]) -> set[tuple[str, str]]:
    return {(limit.kind, limit.what) for limit in limits}
