"""Search over early downsampling: which networks fit a budget, and which of them are worth it.

Branch and bound. The bounds of a network (`sapool.pricing.bounds`) take a tenth of the time of its price and are never above
it, and they grow with the width; so of a family of networks that differ in their width, all above the first one whose bounds
break the budget are out. Of the rest, a network whose bounds are beaten by one that was priced is out too. What is left is
priced exactly. Nothing is left out by chance: the front is that of pricing every combination.

With bands, a price comes from a quick search; networks that would nearly keep the budget, and those of the front, get the
search of an export. What it finds below the rest of the quick prices is not looked for (docs/decisions/0104).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from sapool.compress.budget import Budget, needed_bytes
from sapool.compress.choice import peak_of
from sapool.compress.front import Candidate, Front, front
from sapool.compress.space import Space
from sapool.errors import BudgetExceeded, SapoolError, UsageError
from sapool.plans import TFLM, Plan
from sapool.pricing import PROFILE, Bounds, Price, bounds, price, report
from sapool.spec import ModelSpec

_QUICKLY: Final = 1.15
"""What the quick search for bands may be above the long one: networks within that of the budget get the long one."""

Progress = Callable[[int, float], None]
"""Told how many networks have been looked at, and which share of the work is done."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the combinations: the first is the sum of the next four.

    Attributes:
        combinations: networks of the space.
        impossible: ones that cannot be built or exported.
        over_budget: ones whose bounds, or those of a narrower network, break the budget.
        beaten: ones whose bounds are beaten by a network that was priced.
        priced: ones that were priced exactly.
        fitting: how many of the priced ones keep the budget.
    """

    combinations: int
    impossible: int
    over_budget: int
    beaten: int
    priced: int
    fitting: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The outcome of a search.

    Attributes:
        space: what was searched.
        budget: the limits.
        profile: build of TFLM that the arenas are for.
        counts: what became of the combinations.
        seconds: how long it took.
        front: the networks that keep the budget and that no other one beats, most multiply-accumulates first.
        plan: the memory plan that the arenas are for.
    """

    space: Space
    budget: Budget
    profile: str
    counts: Counts
    seconds: float
    front: tuple[Candidate, ...]
    plan: Plan = TFLM


class _Bounded(NamedTuple):
    spec: ModelSpec
    bounds: Bounds


def search(
    space: Space, budget: Budget, *, profile: str = PROFILE, plan: Plan = TFLM, progress: Progress | None = None
) -> SearchResult:
    """The best networks of a space under a budget.

    Args:
        space: the networks to look at.
        budget: the limits.
        profile: build of TFLM that the arena is for; see `firmware_sim.profiles`.
        plan: the memory plan that the exported file is to have.
        progress: told how far it is.

    Raises:
        UsageError: no combination of the space makes sense (why the first one does not, is said).
        BudgetExceeded: no network of the space keeps the budget; the smallest is named, and the layer that holds its peak.
    """
    started = time.perf_counter()
    tell = progress or (lambda done, share: None)
    impossible = over_budget = beaten = priced = fitting = 0
    possible: list[_Bounded] = []
    smallest: list[_Bounded] = []
    for number, family in enumerate(space.families()):
        tell(number * len(family), 0.5 * number * len(family) / len(space))
        for index, spec in enumerate(family):
            least = None if spec is None else _bounds(spec, profile, plan)
            if spec is None or least is None:
                impossible += 1
                continue
            if index == 0:
                smallest.append(_Bounded(spec, least))
            if not budget.may_allow(least):
                over_budget += len(family) - index
                break
            possible.append(_Bounded(spec, least))
    if not smallest:
        raise _nothing(space)
    possible.sort(key=lambda each: (each.bounds.arena_bytes, -each.bounds.macs, str(each.spec)))
    kept = Front()
    for number, each in enumerate(possible):
        tell(len(space), 0.5 + 0.5 * number / len(possible))
        if kept.beats(each.bounds.arena_bytes, each.bounds.most_macs, each.bounds.parameters):
            beaten += 1
            continue
        candidate = Candidate(each.spec, price(each.spec, profile=profile, plan=plan))
        priced += 1
        if _may_fit(candidate, budget, plan, kept):
            candidate = Candidate(each.spec, price(each.spec, profile=profile, plan=plan.searched()))
        if budget.allows(candidate.price):
            fitting += 1
            kept.add(candidate)
    if not fitting:
        raise _too_small(budget, smallest, profile, plan)
    counts = Counts(len(space), impossible, over_budget, beaten, priced, fitting)
    best = kept.ordered() if plan == TFLM else _searched(kept.ordered(), profile, plan)
    return SearchResult(space, budget, profile, counts, time.perf_counter() - started, best, plan)


def _may_fit(candidate: Candidate, budget: Budget, plan: Plan, kept: Front) -> bool:
    """A quick search for bands found none that keep the budget, but nearly, and the long one may, with something to gain."""
    if plan.max_extra_macs is None or budget.exceeded(candidate.price) != ("arena",):
        return False
    assert budget.arena_bytes is not None
    hoped_bytes = int(candidate.arena_bytes / _QUICKLY)
    price = candidate.price
    return hoped_bytes <= budget.arena_bytes and not kept.beats(hoped_bytes, price.macs, price.parameters)


def _searched(kept: tuple[Candidate, ...], profile: str, plan: Plan) -> tuple[Candidate, ...]:
    """The same networks with the plans that an export finds for them."""
    return front(Candidate(each.spec, price(each.spec, profile=profile, plan=plan.searched())) for each in kept)


def _bounds(spec: ModelSpec, profile: str, plan: Plan) -> Bounds | None:
    try:
        return bounds(spec, profile=profile, plan=plan)
    except SapoolError:
        return None


def _nothing(space: Space) -> UsageError:
    """Why the first combination makes no sense."""
    first = (space.widths[0], space.placements[0], space.prepools[0], space.resolutions[0], space.classes)
    try:
        bounds(ModelSpec(space.backbone, space.methods[0], space.plans[0] if space.plans else "", *first))
    except SapoolError as error:
        return UsageError(f"none of {len(space):,} combinations makes sense: {error.message}", hint=error.hint)
    return UsageError(f"none of {len(space):,} combinations makes sense", hint="try another resolution")


class _Limit(NamedTuple):
    """One kind of limit: how to say what is reached, what a network has at least, and what it has."""

    words: str
    least: Callable[[Bounds], int]
    exact: Callable[[Price], int]


_LIMITS: Final[Mapping[str, _Limit]] = {
    "arena": _Limit("an arena of {:,} bytes", lambda least: least.arena_bytes, needed_bytes),
    "flash": _Limit("a file of {:,} bytes", lambda least: least.model_bytes, lambda cost: cost.model_bytes),
    "macs": _Limit("{:,} multiply-accumulates", lambda least: least.macs, lambda cost: cost.file_macs),
}


def _too_small(budget: Budget, narrowest: list[_Bounded], profile: str, plan: Plan) -> BudgetExceeded:
    """What the smallest reachable is. Bounds grow with the width, so it is among the narrowest of each family."""
    limited = "arena" if budget.arena_bytes is not None else "flash" if budget.flash_bytes is not None else "macs"
    best = _smallest(narrowest, profile, _LIMITS[limited], plan)
    over = [_LIMITS[name] for name in budget.exceeded(best.price) or (limited,)]
    reached = " and ".join(limit.words.format(limit.exact(best.price)) for limit in over)
    peak = peak_of(report(best.spec, profile=profile, plan=plan))
    return BudgetExceeded(
        f"no network keeps the budget; the smallest reachable has {reached}: {best.spec}",
        hint=f"its peak, {peak.live_bytes:,} bytes of activations, is at {peak.op} {peak.name}; a smaller width or "
        "resolution, or more shrinking in front of that layer, lowers it",
    )


def _smallest(narrowest: list[_Bounded], profile: str, limit: _Limit, plan: Plan) -> Candidate:
    """The one that takes least of what is limited, priced exactly: bounds tell when no other can be smaller."""
    best: Candidate | None = None
    for each in sorted(narrowest, key=lambda each: (limit.least(each.bounds), str(each.spec))):
        if best is not None and limit.least(each.bounds) >= limit.exact(best.price):
            break
        cost = price(each.spec, profile=profile, plan=plan)
        if best is None or limit.exact(cost) < limit.exact(best.price):
            best = Candidate(each.spec, cost)
    assert best is not None
    return best


def spread(candidates: tuple[Candidate, ...], count: int) -> Iterator[Candidate]:
    """At most `count` of the candidates, from the first to the last at equal steps."""
    if len(candidates) <= count:
        yield from candidates
    elif count == 1:
        yield candidates[0]
    else:
        step = (len(candidates) - 1) / (count - 1)
        yield from (candidates[round(number * step)] for number in range(count))
