"""The best bands that can be found: proposals for many limits, and small changes of the best, priced in the order of what
they promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final

from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.changes import alike, neighbours
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
_PATIENCE: Final = 16  # choices priced, one after the other, of which none is better
_LESS_PATIENCE: Final = 10  # the same without loops, where loops come next
_LAST_PATIENCE: Final = 8  # the same for choices of which there is little hope
_BOREDOM: Final = 0.0005  # of what is reckoned, for each choice of a kind that was no better: others get their turn
_DOUBT: Final = 0.995  # of what is reckoned, which outputs that share with several inputs may be below

_NONE: Final = (1 << 60,)  # the promise of nothing

Progress = Callable[[str], None]
_Rank = Callable[[Choice], tuple[int, int, int]]
# All but the heights of the bands: how many loops, and whether rows stay.
_Kind = tuple[tuple[int, int, bool, frozenset[int], int, bool, frozenset[int]], ...]
_Part = _Kind | tuple[tuple[int, int, bool], ...]  # of a choice: its kind, and each two stages in a row


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
    more_bytes: dict[_Part, int] = field(default_factory=dict)  # than reckoned, at least, for choices with such a part
    kinds: dict[tuple[Banding, ...], _Kind] = field(default_factory=dict)
    vain: Counter[_Kind] = field(default_factory=Counter)  # choices of a kind priced since one was the best

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
        promises: dict[int, tuple[tuple[int, ...], int]] = {}
        waiting = list(limits)
        for _ in range(len(waiting) + _FINER):
            limit = waiting.pop(0) if waiting else _widest(promises)
            if limit is None:
                break
            self.progress(f"bands within {limit:,} bytes")
            here = self.within(limit, in_loops)
            here += [self.proposer.choice(one) for choice in here for one in alike(choice.bandings, in_loops)]
            for choice in here:
                found[choice.bandings] = min(found.get(choice.bandings, choice), choice, key=self.arena_bytes)
            allowed = [(self.promise(one), one.head_bytes) for one in here if self.macs(one) <= self.goal.most_macs]
            promises[limit] = min(allowed, default=(_NONE, limit))
        return list(found.values())

    def within(self, limit_bytes: int, in_loops: bool = False) -> list[Choice]:
        """The best choices for a limit."""
        most = int((self.goal.most_macs - self.pricer.macs) * _BEYOND)
        orders = (self.proposer.best(limit_bytes, most, upward=order, in_loops=in_loops) for order in _ORDERS)
        return [choice for choices in orders for choice in choices]

    def explore(self, choices: Iterable[Choice], in_loops: bool = False) -> None:
        """Price what promises to be better than all that is known, and small changes of the best, as long as that helps.

        What a choice is reckoned to cost is rarely more than what it costs, so that one which does not promise to be better
        need not be looked at. What hopes to be better for all that comes last.
        """
        wanted = {choice.bandings: choice for choice in choices if self.is_wanted(choice, in_loops)}
        patience = _LESS_PATIENCE if not in_loops and self.pricer.form == LOOP else _PATIENCE
        left = self.walk(wanted, in_loops, self.likely, _WORK, patience)
        self.walk(wanted, in_loops, self.hope, left, _LAST_PATIENCE)

    def walk(
        self, choices: Mapping[tuple[Banding, ...], Choice], in_loops: bool, hope: _Rank, left: int, patience: int
    ) -> int:
        """Price choices of which there is hope, and small changes of the best; gives what is left of the operators."""
        waiting = dict(choices)
        changed: set[tuple[Banding, ...]] = set()
        failures = 0
        allowed = (self.goal.rank(price) for price in self.all_known() if self.goal.allows(price))
        best: tuple[int, ...] = min(allowed, default=_NONE)
        while left > 0 and failures < patience:
            for start in self.starts():
                if start.bandings not in changed:
                    changed.add(start.bandings)
                    changes = neighbours(self.proposer, start.bandings, start.head_bytes)
                    found = (self.proposer.choice(one) for one in changes if one not in self.pricer.known)
                    waiting.update((one.bandings, one) for one in found if self.is_wanted(one, in_loops))
            waiting = {key: one for key, one in waiting.items() if key not in self.pricer.known and hope(one) < best}
            if not waiting:
                break
            choice = waiting.pop(min(waiting, key=lambda key: self.expected(waiting[key])))
            left -= sum(len(one.stage.layers) * len(one.heights) for one in choice.bandings) + len(self.proposer.peaks)
            failures += 1
            kind = self.kind(choice.bandings)
            self.vain[kind] += 1
            price = self.priced(choice)
            if price is not None and self.goal.allows(price) and self.goal.rank(price) < best:
                self.progress(f"an arena of {price.arena_bytes:,} bytes")
                best, failures = self.goal.rank(price), 0
                self.vain[kind] = 0
        return left

    def is_wanted(self, choice: Choice, in_loops: bool) -> bool:
        """Not too many multiplications, and no loops where none are wanted."""
        return self.macs(choice) <= self.goal.most_macs and (in_loops or not self.has_loops(choice.bandings))

    def has_loops(self, bandings: Sequence[Banding]) -> bool:
        """Some of the bands can be written as a loop, and are if that is better."""
        return any(self.pricer.loops(one) for one in bandings)

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
        """The price of a choice; others that have a part in common are expected to need as much more than reckoned."""
        price = self.pricer.price(choice.bandings, int(_DOUBT * choice.head_bytes))
        if price is not None:
            more = price.arena_bytes - self.arena_bytes(choice)
            for part in self.parts(choice.bandings):
                self.more_bytes[part] = min(self.more_bytes.get(part, more), more)
        return price

    def kind(self, bandings: tuple[Banding, ...]) -> _Kind:
        """See `_Kind`."""
        if bandings not in self.kinds:
            self.kinds[bandings] = tuple(
                (
                    one.stage.first,
                    one.stage.last,
                    one.upward,
                    one.trimmed,
                    len(self.pricer.loops(one)),
                    one.lines,
                    one.again,
                )
                for one in bandings
            )
        return self.kinds[bandings]

    def parts(self, bandings: tuple[Banding, ...]) -> Iterator[_Part]:
        """What a choice has in common with others: two stages of which the one leaves rows where the other wants room."""
        yield self.kind(bandings)
        stages = [(one.stage.first, one.stage.last, one.upward) for one in bandings]
        yield from pairwise(stages)

    def hope(self, choice: Choice) -> tuple[int, int, int]:
        """The rank that a choice may have at best."""
        return self.goal.order(int(_DOUBT * self.arena_bytes(choice)), self.macs(choice), len(choice.bandings))

    def likely(self, choice: Choice) -> tuple[int, int, int]:
        """The same; where others of its kind are known, these show how much less than reckoned it is."""
        more = self.more_bytes.get(self.kind(choice.bandings))
        if more is None:
            return self.hope(choice)
        return self.goal.order(self.arena_bytes(choice) + min(more, 0), self.macs(choice), len(choice.bandings))

    def expected(self, choice: Choice) -> tuple[int, int, int]:
        """The rank that a choice promises, unless a part of it has turned out to need more, or many alike were no better."""
        more = max(0, *(self.more_bytes.get(part, 0) for part in self.parts(choice.bandings)))
        more += int(_BOREDOM * self.vain[self.kind(choice.bandings)] * self.arena_bytes(choice))
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


def _between(low: int, high: int, count: int) -> list[int]:
    ratio = high / max(low, 1)
    return [int(low * ratio ** (number / count)) for number in range(count)]


def _widest(promises: Mapping[int, tuple[tuple[int, ...], int]]) -> int | None:
    """The middle between two limits of which one promises the most; of several pairs the widest. None if none is wide.

    `promises` are those of the best choice for a limit, with the bytes that it needs: what is best down to there is known.
    """
    best = {limit: promise for limit, (promise, _) in promises.items()}
    pairs = {pair: min(pair[1], promises[pair[1]][1]) - pair[0] for pair in pairwise(sorted(promises))}
    wide = [pair for pair, width in pairs.items() if width > _NEAR * pair[1]]
    if not wide:
        return None
    pair = min(wide, key=lambda one: (min(best[one[0]], best[one[1]]), -pairs[one]))
    return pair[0] + pairs[pair] // 2


def ladder(prices: Iterable[Price]) -> tuple[Price, ...]:
    """Of all choices those that no other beats in both arena and multiplications, the fewest multiplications first."""
    kept: list[Price] = []
    for price in sorted(prices, key=lambda one: (one.macs, one.arena_bytes)):
        if not kept or price.arena_bytes < kept[-1].arena_bytes:
            kept.append(price)
    return tuple(kept)
