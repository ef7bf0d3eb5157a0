"""What an overlapping planner gets: blocks of memory, and how far apart each two of them have to be.

Two buffers that are in use together need not be disjoint: where an operator writes its output from the bottom upwards and
is done with the bytes of its input that it overwrites, it is enough that the input begins some distance above the output.
So a pair is not "they conflict" but two distances, one for each order; full separation is the special case in which the
distance is the size of the lower one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd
from typing import Final, NamedTuple

from firmware_sim.planners.base import BufferRequest

_NONE: Final = -(1 << 62)  # less than any distance


class Segment(NamedTuple):
    """Bytes `start` up to (not including) `end` of a block, in use from time `first` to `last`, both included."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Block:
    """Memory that is placed as one piece.

    Attributes:
        size_bytes: its size.
        segments: its parts with lifetimes of their own; they may share bytes or time but not both. A tensor that
            is a view into another is a segment of that other's block.
    """

    size_bytes: int
    segments: tuple[Segment, ...]

    @classmethod
    def whole(cls, size_bytes: int, first: int, last: int) -> Block:
        """A block with one lifetime."""
        return cls(size_bytes, (Segment(0, size_bytes, first, last),))


class Part(NamedTuple):
    """A segment of a block, by their positions."""

    block: int
    segment: int = 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """`upper` may share bytes with `lower` if it begins at least `distance_bytes` above where `lower` begins.

    It replaces full separation for this order of these two segments; the other order keeps it.
    """

    upper: Part
    lower: Part
    distance_bytes: int


@dataclass(frozen=True)
class Problem:
    """Blocks to place as low as possible.

    Attributes:
        sizes_bytes: size of each block.
        apart: (upper, lower) to the least `offset[upper] - offset[lower]` if `upper` is the upper one. A pair has both
            orders or neither; without an entry two blocks may lie anywhere.
        moments: what is in use at one time, as (block, bytes of it), for every time at which something is that is not
            wholly in use at another; what bounds the peak from below.
    """

    sizes_bytes: tuple[int, ...]
    apart: Mapping[tuple[int, int], int]
    moments: tuple[tuple[tuple[int, int], ...], ...] = field(default=())

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Per block the blocks that it has a distance to."""
        found: list[list[int]] = [[] for _ in self.sizes_bytes]
        for upper, lower in self.apart:
            found[upper].append(lower)
        return tuple(tuple(sorted(blocks)) for blocks in found)

    @cached_property
    def step_bytes(self) -> int:
        """All offsets of some best plan, and its peak, are multiples of this; 1 without blocks."""
        return gcd(*self.sizes_bytes, *self.apart.values()) or 1

    def peak_bytes(self, offsets: Sequence[int]) -> int:
        """Highest end of a block; 0 without blocks."""
        return max((offset + size for offset, size in zip(offsets, self.sizes_bytes, strict=True)), default=0)

    def is_kept(self, offsets: Sequence[int]) -> bool:
        """`offsets` are not negative and keep every distance."""
        if len(offsets) != len(self.sizes_bytes) or any(offset < 0 for offset in offsets):
            return False
        return all(
            offsets[one] - offsets[other] >= distance or offsets[other] - offsets[one] >= self.apart[other, one]
            for (one, other), distance in self.apart.items()
        )


def problem(blocks: Sequence[Block], allowances: Sequence[Allowance] = ()) -> Problem:
    """Distances between blocks, from the lifetimes of their segments.

    Blocks are as far apart as the two of their segments that are in use together demand the most.
    """
    allowed: dict[Part, dict[Part, int]] = {}
    for one in allowances:
        allowed.setdefault(one.upper, {})[one.lower] = one.distance_bytes
    apart: dict[tuple[int, int], int] = {}
    by_start = sorted(
        ((s.first, number, position, s) for number, b in enumerate(blocks) for position, s in enumerate(b.segments)),
        key=lambda entry: entry[:3],
    )
    nothing: dict[Part, int] = {}
    active: list[tuple[Part, Segment, dict[Part, int]]] = []
    for _, number, position, segment in by_start:
        start, end, first, _ = segment
        active = [entry for entry in active if entry[1].last >= first]
        if end > start:
            here = Part(number, position)
            mine = allowed.get(here, nothing)
            for part, other, others in active:
                if part.block != number:
                    above = other.start - start + mine[part] if part in mine else other.end - start
                    below = start - other.start + others[here] if here in others else end - other.start
                    key = number, part.block
                    if above > apart.get(key, _NONE):
                        apart[key] = above
                    key = part.block, number
                    if below > apart.get(key, _NONE):
                        apart[key] = below
            active.append((here, segment, mine))
    return Problem(tuple(block.size_bytes for block in blocks), apart, _moments(blocks))


def plain_problem(requests: Sequence[BufferRequest]) -> Problem:
    """The problem without overlaps, as TFLM sees it. Places that are already decided are not kept."""
    return problem([Block.whole(request.size_bytes, request.first, request.last) for request in requests])


def _moments(blocks: Sequence[Block]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """In use just before something ends: every other time has no more than one of these."""
    starts: dict[int, list[tuple[int, int]]] = {}
    ends: dict[int, list[tuple[int, int]]] = {}
    for number, block in enumerate(blocks):
        for segment in block.segments:
            starts.setdefault(segment.first, []).append((number, segment.end - segment.start))
            ends.setdefault(segment.last, []).append((number, segment.end - segment.start))
    moments = []
    live: dict[int, int] = {}
    has_grown = False
    for time in sorted(starts.keys() | ends.keys()):
        for number, count in starts.get(time, ()):
            live[number] = live.get(number, 0) + count
            has_grown = True
        if has_grown and time in ends:
            moments.append(tuple((number, count) for number, count in live.items() if count))
            has_grown = False
        for number, count in ends.get(time, ()):
            live[number] -= count
            if not live[number]:
                del live[number]
    return tuple(moments)
