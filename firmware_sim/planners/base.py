"""What a memory planner gets: sizes, lifetimes, and places that are already decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.records import Record


class BufferRequest(Record):
    """One buffer to place.

    Attributes:
        size_bytes: size, already rounded up to the arena's alignment.
        first, last: closed interval of times in which it is in use; two buffers conflict if their intervals meet.
        offset: where an offline plan puts it, or None.
    """

    size_bytes: int
    first: int
    last: int
    offset: int | None = None

    def overlaps(self, other: BufferRequest) -> bool:
        """Both are in use at some time."""
        return self.first <= other.last and other.first <= self.last


Planner = Callable[[Sequence[BufferRequest]], tuple[int, ...]]
"""A planner returns one offset per request, in the order of the requests."""


def peak_bytes(requests: Sequence[BufferRequest], offsets: Sequence[int]) -> int:
    """Highest end of any buffer; 0 without buffers."""
    return max((offset + request.size_bytes for request, offset in zip(requests, offsets, strict=True)), default=0)
