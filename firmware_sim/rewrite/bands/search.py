"""The best bands that can be found: proposals for many limits, priced exactly, then changed a little where that helps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Final

from firmware_sim.memory.elements import round_up
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import LOOP
from firmware_sim.rewrite.bands.pricing import Price, Pricer
from firmware_sim.rewrite.bands.propose import Choice, Proposer

_LIMITS: Final = 12  # between what bands cannot lower and what is needed without
_FINER: Final = 4  # around the best of these
_ORDERS: Final = ((False,), (True,), (False, True), (True, False))
_BEYOND: Final = 4.0  # times the multiplications allowed: what the ladder looks at
_OPTIMISM: Final = 0.9  # of a limit: what a plan within it may need after all
_STARTS: Final = 4  # choices that are changed a little
_WORK: Final = 3_000  # operators priced in changing one of them

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted: multiply-accumulates at most, and an arena that is small enough, if one is named."""

    most_macs: int
    arena_bytes: int | None = None

    def rank(self, price: Price) -> tuple[int, int, int]:
        """Lower is better: the least arena, or the fewest multiplications that reach the arena wanted."""
        if self.arena_bytes is None:
            return price.arena_bytes, price.macs, len(price.bandings)
        return max(price.arena_bytes - self.arena_bytes, 0), price.macs, price.arena_bytes

    def allows(self, price: Price) -> bool:
        """Not too many multiplications."""
        return price.macs <= self.most_macs


@dataclass
class Search:
    """A search over the bands of one draft."""

    pricer: Pricer
    goal: Goal
    progress: Progress = lambda _: None
    proposer: Proposer = field(init=False)

    def __post_init__(self) -> None:
        self.proposer = Proposer(self.pricer)

    def run(self) -> tuple[Price, ...]:
        """All choices that were priced, the best first."""
        plain = self.pricer.price(())
        assert plain is not None  # without bands there is always a plan
        floor = self.proposer.floor_bytes()
        if floor < plain.head_bytes:
            limits = _between(floor, plain.head_bytes, _LIMITS)
            self.propose(limits)
            best = self.ranked()[0]
            self.propose(_around(best.head_bytes, limits))
            for start in self.starts():
                self.improve(start)
        return tuple(self.ranked())

    def starts(self) -> list[Price]:
        """The best choices of different stages; with and without loops, where there are loops."""
        found: dict[tuple[bool, tuple[tuple[int, int, bool], ...]], Price] = {}
        for price in self.ranked():
            stages = tuple((b.stage.first, b.stage.last, b.upward) for b in price.bandings)
            found.setdefault((self.pricer.has_loops(price.bandings), stages), price)
        return [
            price
            for in_loops in (False, True)
            for price in [one for (looped, _), one in found.items() if looped == in_loops][:_STARTS]
        ]

    def ranked(self) -> list[Price]:
        """What is allowed, the best first, then the rest."""
        prices = [price for price in self.pricer.known.values() if price is not None]
        return sorted(prices, key=lambda price: (not self.goal.allows(price), self.goal.rank(price)))

    def propose(self, limits: Iterable[int]) -> None:
        """Price the best choices for each limit."""
        own = self.goal.most_macs - self.pricer.macs
        for limit in limits:
            self.progress(f"bands within {limit:,} bytes")
            seen: dict[tuple[Banding, ...], Choice] = {}
            for order, in_loops in product(_ORDERS, (False, True) if self.pricer.form == LOOP else (False,)):
                choices = self.proposer.best(limit, int(own * _BEYOND), upward=order, most=8, in_loops=in_loops)
                allowed = [choice for choice in choices if choice.macs <= own]
                for choice in (*allowed[:1], *choices[:1]):
                    seen.setdefault(choice.bandings, choice)
            for choice in seen.values():
                if not self.is_beaten(choice, limit):
                    self.pricer.price(choice.bandings)

    def is_beaten(self, choice: Choice, limit_bytes: int) -> bool:
        """Something known is better in arena and multiplications, even if this needs rather less than its limit."""
        plain = self.pricer.price(())
        assert plain is not None
        least = int(_OPTIMISM * limit_bytes) + plain.total_bytes - plain.head_bytes + choice.tail_bytes
        macs = self.pricer.macs + choice.macs
        return any(price and price.arena_bytes <= least and price.macs <= macs for price in self.pricer.known.values())

    def improve(self, price: Price) -> None:
        """Change a choice by small steps as long as one of them makes it better."""
        left = _WORK
        is_better = True
        while is_better and left > 0:
            is_better = False
            for bandings in self.neighbours(price):
                if bandings in self.pricer.known or _share_layers(bandings):
                    continue
                left -= sum(len(one.stage.layers) * len(one.heights) for one in bandings) + len(self.proposer.peaks)
                if left <= 0:
                    break
                changed = self.pricer.price(bandings)
                if changed and self.goal.allows(changed) and self.goal.rank(changed) < self.goal.rank(price):
                    self.progress(f"an arena of {changed.arena_bytes:,} bytes")
                    price, is_better = changed, True
                    break

    def neighbours(self, price: Price) -> Iterator[tuple[Banding, ...]]:
        """Choices that differ in one stage."""
        for number, banding in enumerate(price.bandings):
            for changed in self.variants(banding, price.head_bytes):
                yield (*price.bandings[:number], changed, *price.bandings[number + 1 :])
            yield (*price.bandings[:number], *price.bandings[number + 1 :])

    def variants(self, banding: Banding, limit_bytes: int) -> Iterator[Banding]:
        """Other heights, another order, wrong rows cut off elsewhere, a longer or shorter stage."""
        heights = banding.heights
        for step in (1, 2, 4):
            for one, other in _neighbours(len(heights)):
                if heights[one] > step:
                    moved = list(heights)
                    moved[one] -= step
                    moved[other] += step
                    yield replace(banding, heights=tuple(moved))
        for number in range(len(heights) - 1 if len(heights) > 2 else 0):
            merged = (*heights[:number], heights[number] + heights[number + 1], *heights[number + 2 :])
            yield replace(banding, heights=merged)
        yield replace(banding, heights=heights[::-1], upward=not banding.upward)
        for index in banding.stage.trimmable:
            yield replace(banding, trimmed=banding.trimmed ^ {index})
        for first, last in self.moved(banding):
            for upward in (banding.upward, not banding.upward):
                for choice in self.proposer.options(first, last, round_up(limit_bytes), upward):
                    yield from choice.bandings

    def moved(self, banding: Banding) -> Iterator[tuple[int, int]]:
        """First and last operators of stages that begin or end at a neighbouring cut."""
        positions = self.proposer.positions
        first, end = positions.index(banding.stage.first), positions.index(banding.stage.last + 1)
        for start, stop in ((first - 1, end), (first + 1, end), (first, end - 1), (first, end + 1)):
            if 0 <= start < stop < len(positions):
                yield positions[start], positions[stop] - 1


def _share_layers(bandings: Sequence[Banding]) -> bool:
    return any(one.stage.last >= other.stage.first for one, other in pairwise(bandings))


def _neighbours(count: int) -> Iterator[tuple[int, int]]:
    for number in range(count - 1):
        yield number, number + 1
        yield number + 1, number


def _between(low: int, high: int, count: int) -> list[int]:
    ratio = high / max(low, 1)
    return [int(low * ratio ** (number / count)) for number in range(count)]


def _around(value: int, limits: Sequence[int]) -> list[int]:
    below = max((limit for limit in limits if limit < value), default=value)
    above = min((limit for limit in limits if limit > value), default=value)
    return sorted({below + (above - below) * number // (_FINER + 1) for number in range(1, _FINER + 1)} | {value})


def ladder(prices: Iterable[Price]) -> tuple[Price, ...]:
    """Of all choices those that no other beats in both arena and multiplications, the fewest multiplications first."""
    kept: list[Price] = []
    for price in sorted(prices, key=lambda one: (one.macs, one.arena_bytes)):
        if not kept or price.arena_bytes < kept[-1].arena_bytes:
            kept.append(price)
    return tuple(kept)
