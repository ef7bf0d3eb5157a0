"""The best bands that can be found: proposals for many limits, and small changes of the best, priced in the order of what
they promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Final

from firmware_sim.memory.elements import round_up
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import LOOP
from firmware_sim.rewrite.bands.pricing import Price, Pricer
from firmware_sim.rewrite.bands.propose import Choice, Proposer

_LIMITS: Final = 12  # between what bands cannot lower and what is needed without
_FINER: Final = 24  # where these promise the most
_NEAR: Final = 0.004  # limits that are nearer to each other make no difference
_ORDERS: Final = ((False,), (True,), (False, True), (True, False))
_BEYOND: Final = 4.0  # times the multiplications allowed: what the ladder looks at
_MOST_RUNGS: Final = 12  # of the ladder that are priced for its sake
_STARTS: Final = 10  # choices that are changed a little
_WORK: Final = 12_000  # operators priced in all
_PATIENCE: Final = 30  # choices priced, one after the other, of which none is better
_DOUBT: Final = 0.995  # of what is reckoned, which outputs that share with several inputs may be below

_NONE: Final = (1 << 60,)  # the promise of nothing

Progress = Callable[[str], None]
# All but the heights of the bands; whether in a loop, and with rows that stay.
_Kind = tuple[tuple[int, int, bool, frozenset[int], bool, bool], ...]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted: multiply-accumulates at most, and an arena that is small enough, if one is named."""

    most_macs: int
    arena_bytes: int | None = None

    def rank(self, price: Price) -> tuple[int, int, int]:
        """Lower is better: the least arena, or the fewest multiplications that reach the arena wanted."""
        return self.order(price.arena_bytes, price.macs, len(price.bandings))

    def order(self, arena_bytes: int, macs: int, stages: int) -> tuple[int, int, int]:
        """See `rank`."""
        if self.arena_bytes is None:
            return arena_bytes, macs, stages
        return max(arena_bytes - self.arena_bytes, 0), macs, arena_bytes

    def allows(self, price: Price) -> bool:
        """Not too many multiplications."""
        return price.macs <= self.most_macs


@dataclass
class Search:
    """A search over the bands of one draft. `rivals` are choices for another draft, which have to be beaten."""

    pricer: Pricer
    goal: Goal
    progress: Progress = lambda _: None
    rivals: Sequence[Price] = ()
    proposer: Proposer = field(init=False)
    more_bytes: dict[_Kind, int] = field(default_factory=dict)  # than reckoned, at least, for choices of a kind

    def __post_init__(self) -> None:
        self.proposer = Proposer(self.pricer)

    def run(self) -> tuple[Price, ...]:
        """All choices that were priced, the best first."""
        floor = self.proposer.floor_bytes()
        if floor + self.proposer.least_tail_bytes() < self.plain.head_bytes:
            limits = _between(floor, self.plain.head_bytes, _LIMITS)
            # What can be had without loops comes first, so that it is had with them too.
            for in_loops in (False, True) if self.pricer.form == LOOP else (False,):
                choices = self.proposals(limits, in_loops)
                self.explore(choices, in_loops)
                self.price_rungs(choices)
        return tuple(self.ranked())

    @cached_property
    def plain(self) -> Price:
        """Without bands."""
        price = self.pricer.price(())
        assert price is not None  # without bands there is always a plan
        return price

    def starts(self) -> list[Price]:
        """The best choice of each of the best kinds; as many without loops, where there are loops."""
        found: dict[_Kind, Price] = {}
        for price in self.ranked():
            found.setdefault(self.kind(price.bandings), price)
        return [
            price
            for has_loops in (False, True)
            for price in [one for one in found.values() if self.has_loops(one.bandings) == has_loops][:_STARTS]
        ]

    def ranked(self) -> list[Price]:
        """What is allowed, the best first, then the rest."""
        prices = [price for price in self.pricer.known.values() if price is not None]
        return sorted(prices, key=lambda price: (not self.goal.allows(price), self.goal.rank(price)))

    def proposals(self, limits: Iterable[int], in_loops: bool = False) -> list[Choice]:
        """The best choices for each limit and for more of them where that promises the most."""
        found: dict[tuple[Banding, ...], Choice] = {}
        promises: dict[int, tuple[int, ...]] = {}
        waiting = list(limits)
        for _ in range(len(waiting) + _FINER):
            limit = waiting.pop(0) if waiting else _widest(promises)
            if limit is None:
                break
            self.progress(f"bands within {limit:,} bytes")
            here = self.within(limit, in_loops)
            here += [self.proposer.choice(tuple(map(_even, choice.bandings))) for choice in here]
            for choice in here:
                found[choice.bandings] = min(found.get(choice.bandings, choice), choice, key=self.arena_bytes)
            allowed = [self.promise(choice) for choice in here if self.macs(choice) <= self.goal.most_macs]
            promises[limit] = min(allowed, default=_NONE)
        return list(found.values())

    def within(self, limit_bytes: int, in_loops: bool = False) -> list[Choice]:
        """The best choices for a limit."""
        most = int((self.goal.most_macs - self.pricer.macs) * _BEYOND)
        orders = (self.proposer.best(limit_bytes, most, upward=order, in_loops=in_loops) for order in _ORDERS)
        return [choice for choices in orders for choice in choices]

    def explore(self, choices: Iterable[Choice], in_loops: bool = False) -> None:
        """Price what promises to be better than all that is known, and small changes of the best, as long as that helps.

        What a choice is reckoned to cost is rarely more than what it costs, so that one which does not promise to be better
        need not be looked at.
        """
        waiting = {choice.bandings: choice for choice in choices if self.is_wanted(choice, in_loops)}
        changed: set[tuple[Banding, ...]] = set()
        left, failures = _WORK, 0
        allowed = (self.goal.rank(price) for price in self.all_known() if self.goal.allows(price))
        best: tuple[int, ...] = min(allowed, default=_NONE)
        while left > 0 and failures < _PATIENCE:
            for start in self.starts():
                if start.bandings not in changed:
                    changed.add(start.bandings)
                    changes = self.changes(start, best)
                    waiting.update((one.bandings, one) for one in changes if self.is_wanted(one, in_loops))
            waiting = {key: choice for key, choice in waiting.items() if self.hope(choice) < best}
            if not waiting:
                break
            choice = waiting.pop(min(waiting, key=lambda key: self.expected(waiting[key])))
            left -= sum(len(one.stage.layers) * len(one.heights) for one in choice.bandings) + len(self.proposer.peaks)
            failures += 1
            price = self.priced(choice)
            if price is not None and self.goal.allows(price) and self.goal.rank(price) < best:
                self.progress(f"an arena of {price.arena_bytes:,} bytes")
                best, failures = self.goal.rank(price), 0

    def changes(self, price: Price, best: tuple[int, ...]) -> Iterator[Choice]:
        """What differs a little from a choice and may be better than the best."""
        for bandings in self.neighbours(price):
            if bandings not in self.pricer.known and not _share_layers(bandings):
                choice = self.proposer.choice(bandings)
                if self.hope(choice) < best:
                    yield choice

    def is_wanted(self, choice: Choice, in_loops: bool) -> bool:
        """Not too many multiplications, and no loops where none are wanted."""
        return self.macs(choice) <= self.goal.most_macs and (in_loops or not self.has_loops(choice.bandings))

    def has_loops(self, bandings: Sequence[Banding]) -> bool:
        """Some of the bands can be written as a loop, and are if that is better."""
        return any(self.pricer.loop(one) for one in bandings)

    def price_rungs(self, choices: Iterable[Choice]) -> None:
        """Price what more or fewer multiplications would buy, for the ladder."""
        rungs: list[Choice] = []
        for choice in sorted(choices, key=lambda one: (one.macs, self.arena_bytes(one))):
            if not rungs or self.arena_bytes(choice) < self.arena_bytes(rungs[-1]):
                rungs.append(choice)
        for choice in rungs[:: -(-len(rungs) // _MOST_RUNGS) or 1]:
            if not self.is_beaten(choice):
                self.priced(choice)

    def priced(self, choice: Choice) -> Price | None:
        """The price of a choice; others of its kind are expected to need as much more than reckoned."""
        price = self.pricer.price(choice.bandings, int(_DOUBT * choice.head_bytes))
        if price is not None:
            kind = self.kind(choice.bandings)
            more = price.arena_bytes - self.arena_bytes(choice)
            self.more_bytes[kind] = min(self.more_bytes.get(kind, more), more)
        return price

    def kind(self, bandings: Sequence[Banding]) -> _Kind:
        """See `_Kind`."""
        return tuple(
            (one.stage.first, one.stage.last, one.upward, one.trimmed, bool(self.pricer.loop(one)), one.lines)
            for one in bandings
        )

    def hope(self, choice: Choice) -> tuple[int, int, int]:
        """The rank that a choice may have at best."""
        return self.goal.order(int(_DOUBT * self.arena_bytes(choice)), self.macs(choice), len(choice.bandings))

    def expected(self, choice: Choice) -> tuple[int, int, int]:
        """The rank that a choice promises, unless its kind has turned out to need more."""
        more = self.more_bytes.get(self.kind(choice.bandings), 0)
        return self.goal.order(self.arena_bytes(choice) + more, self.macs(choice), len(choice.bandings))

    def all_known(self) -> Iterator[Price]:
        """What was priced, here or for another draft."""
        yield from self.rivals
        yield from (price for price in self.pricer.known.values() if price)

    def arena_bytes(self, choice: Choice) -> int:
        """The arena that a choice is reckoned to need."""
        return choice.head_bytes + choice.tail_bytes + self.plain.total_bytes - self.plain.head_bytes

    def macs(self, choice: Choice) -> int:
        """Multiply-accumulates of the network with a choice of bands."""
        return self.pricer.macs + choice.macs

    def promise(self, choice: Choice) -> tuple[int, int, int]:
        """The rank that a choice is reckoned to have."""
        return self.goal.order(self.arena_bytes(choice), self.macs(choice), len(choice.bandings))

    def is_beaten(self, choice: Choice) -> bool:
        """Something known needs no more arena and multiplications than this is reckoned to need."""
        arena, macs = self.arena_bytes(choice), self.macs(choice)
        return any(price.arena_bytes <= arena and price.macs <= macs for price in self.all_known())

    def neighbours(self, price: Price) -> Iterator[tuple[Banding, ...]]:
        """Choices that differ in one stage."""
        for number, banding in enumerate(price.bandings):
            for changed in self.variants(banding, price.head_bytes):
                yield (*price.bandings[:number], changed, *price.bandings[number + 1 :])
            yield (*price.bandings[:number], *price.bandings[number + 1 :])

    def variants(self, banding: Banding, limit_bytes: int) -> Iterator[Banding]:
        """Other heights, another order, wrong rows cut off elsewhere, a longer or shorter stage."""
        heights = banding.heights
        if banding.lines:
            for first, last in ((banding.stage.first, banding.stage.last), *self.moved(banding)):
                for choice in self.proposer.options(first, last, round_up(limit_bytes), False, in_loops=True):
                    yield from choice.bandings
            return
        yield replace(banding, heights=heights[::-1], upward=not banding.upward)
        for index in banding.stage.trimmable:
            yield replace(banding, trimmed=banding.trimmed ^ {index})
        for first, last in self.moved(banding):
            for upward in (banding.upward, not banding.upward):
                for choice in self.proposer.options(first, last, round_up(limit_bytes), upward):
                    yield from choice.bandings
        for number in range(len(heights) - 1 if len(heights) > 2 else 0):
            merged = (*heights[:number], heights[number] + heights[number + 1], *heights[number + 2 :])
            yield replace(banding, heights=merged)
        for step in (1, 2, 4):
            for one, other in _neighbours(len(heights)):
                if heights[one] > step:
                    moved = list(heights)
                    moved[one] -= step
                    moved[other] += step
                    yield replace(banding, heights=tuple(moved))

    def moved(self, banding: Banding) -> Iterator[tuple[int, int]]:
        """First and last operators of stages that begin or end at a neighbouring cut."""
        positions = self.proposer.positions
        first, end = positions.index(banding.stage.first), positions.index(banding.stage.last + 1)
        for start, stop in ((first - 1, end), (first + 1, end), (first, end - 1), (first, end + 1)):
            if 0 <= start < stop < len(positions):
                yield positions[start], positions[stop] - 1


def _even(banding: Banding) -> Banding:
    """As many bands, of about one height: where the limit leaves room, these leave less of it between them."""
    if banding.lines:
        return banding
    count, rows = len(banding.heights), banding.stage.rows
    edges = [rows * number // count for number in range(count + 1)]
    return replace(banding, heights=tuple(end - start for start, end in pairwise(edges)))


def _share_layers(bandings: Sequence[Banding]) -> bool:
    return any(one.stage.last >= other.stage.first for one, other in pairwise(bandings))


def _neighbours(count: int) -> Iterator[tuple[int, int]]:
    for number in range(count - 1):
        yield number, number + 1
        yield number + 1, number


def _between(low: int, high: int, count: int) -> list[int]:
    ratio = high / max(low, 1)
    return [int(low * ratio ** (number / count)) for number in range(count)]


def _widest(promises: Mapping[int, tuple[int, ...]]) -> int | None:
    """The middle between two limits of which one promises the most; of several pairs the widest. None if none is wide."""
    wide = [(low, high) for low, high in pairwise(sorted(promises)) if high - low > _NEAR * high]
    if not wide:
        return None
    low, high = min(wide, key=lambda pair: (min(promises[pair[0]], promises[pair[1]]), pair[0] - pair[1]))
    return (low + high) // 2


def ladder(prices: Iterable[Price]) -> tuple[Price, ...]:
    """Of all choices those that no other beats in both arena and multiplications, the fewest multiplications first."""
    kept: list[Price] = []
    for price in sorted(prices, key=lambda one: (one.macs, one.arena_bytes)):
        if not kept or price.arena_bytes < kept[-1].arena_bytes:
            kept.append(price)
    return tuple(kept)
