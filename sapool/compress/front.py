"""Which networks are worth their memory: less arena, and more computation and parameters to make of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapool.compress.budget import needed_bytes
from sapool.spec import ModelSpec

if TYPE_CHECKING:
    from sapool.pricing import Price


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network and what it costs."""

    spec: ModelSpec
    price: Price

    @property
    def arena_bytes(self) -> int:
        """The arena that it needs."""
        return needed_bytes(self.price)


class Front:
    """Candidates of which none is beaten: no other one needs at most its arena, and offers at least its multiply-accumulates
    and parameters. Of candidates that are equal in all three the first one stays."""

    def __init__(self) -> None:
        self._kept: list[Candidate] = []

    def beats(self, arena_bytes: int, macs: int, parameters: int) -> bool:
        """Whether a kept candidate is at least as good as one with these figures."""
        return any(
            kept.arena_bytes <= arena_bytes and kept.price.macs >= macs and kept.price.parameters >= parameters
            for kept in self._kept
        )

    def add(self, candidate: Candidate) -> bool:
        """Keep a candidate unless it is beaten, and drop those that it beats."""
        price = candidate.price
        if self.beats(candidate.arena_bytes, price.macs, price.parameters):
            return False
        self._kept = [
            kept
            for kept in self._kept
            if not (
                candidate.arena_bytes <= kept.arena_bytes
                and price.macs >= kept.price.macs
                and price.parameters >= kept.price.parameters
            )
        ]
        self._kept.append(candidate)
        return True

    def ordered(self) -> tuple[Candidate, ...]:
        """The candidates, most multiply-accumulates first."""
        return tuple(sorted(self._kept, key=lambda kept: (-kept.price.macs, kept.arena_bytes, str(kept.spec))))


def front(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Those of the candidates that none of the others beats, most multiply-accumulates first."""
    kept = Front()
    for candidate in candidates:
        kept.add(candidate)
    return kept.ordered()
