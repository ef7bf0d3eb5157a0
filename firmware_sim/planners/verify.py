"""Checks a plan, whoever made it. Shares no code with any planner.

The plan is swept over time. Buffers in use are kept sorted by offset, so that a buffer that comes into use can only clash
with its two neighbours there, as long as the ones before it did not clash.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from firmware_sim.planners.base import BufferRequest


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with a plan.

    `kind` is "overlap" (`buffers` share bytes at a time when both are in use), "moved" (not where the offline plan put
    it), "negative" (begins before the arena), "outside" (ends behind `capacity_bytes`), "interval" (lifetime ends before
    it begins) or "count" (not one offset per request; no buffers).
    """

    kind: Literal["overlap", "moved", "negative", "outside", "interval", "count"]
    buffers: tuple[int, ...]


def violations(
    requests: Sequence[BufferRequest], offsets: Sequence[int], *, capacity_bytes: int | None = None
) -> tuple[Violation, ...]:
    """What is wrong with a plan; empty if it is valid.

    Args:
        requests: the buffers.
        offsets: where the plan puts each of them.
        capacity_bytes: size of the memory, if it is to be checked.

    Returns:
        Every misplaced buffer. Of buffers that overlap each other at least one pair is listed.
    """
    if len(requests) != len(offsets):
        return (Violation("count", ()),)
    found = [
        violation
        for number, (request, offset) in enumerate(zip(requests, offsets, strict=True))
        for violation in _misplaced(number, request, offset, capacity_bytes)
    ]
    return (*found, *_overlaps(requests, offsets))


def _misplaced(number: int, request: BufferRequest, offset: int, capacity_bytes: int | None) -> list[Violation]:
    found = []
    if request.last < request.first:
        found.append(Violation("interval", (number,)))
    if request.offset is not None and request.offset != offset:
        found.append(Violation("moved", (number,)))
    if offset < 0:
        found.append(Violation("negative", (number,)))
    if capacity_bytes is not None and offset + request.size_bytes > capacity_bytes:
        found.append(Violation("outside", (number,)))
    return found


def _overlaps(requests: Sequence[BufferRequest], offsets: Sequence[int]) -> list[Violation]:
    # Lifetimes are closed: at the same time, beginnings (0) come before ends (1).
    events = sorted(
        event
        for number, request in enumerate(requests)
        if request.size_bytes > 0 and request.first <= request.last
        for event in ((request.first, 0, number), (request.last, 1, number))
    )
    active: list[tuple[int, int, int]] = []  # offset, end, request number
    found = []
    for _, is_end, number in events:
        entry = (offsets[number], offsets[number] + requests[number].size_bytes, number)
        if is_end:
            del active[bisect_left(active, entry)]
            continue
        index = bisect_left(active, entry)
        if index > 0 and active[index - 1][1] > entry[0]:
            found.append(Violation("overlap", _pair(active[index - 1][2], number)))
        if index < len(active) and active[index][0] < entry[1]:
            found.append(Violation("overlap", _pair(active[index][2], number)))
        insort(active, entry)
    return found


def _pair(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)
