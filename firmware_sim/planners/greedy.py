"""TFLM's GreedyMemoryPlanner: largest buffer first, each at the lowest offset where it fits.

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc:162-310.
"""

from __future__ import annotations

from collections.abc import Sequence

from firmware_sim.planners import register
from firmware_sim.planners.base import BufferRequest


@register("greedy")
def greedy(requests: Sequence[BufferRequest]) -> tuple[int, ...]:
    """Place buffers exactly as TFLM does.

    Buffers with an offline offset come first, in their order. The others follow by falling size; of equal sizes the
    later request comes first, since TFLM lists them in reverse before a stable sort (lines 42-58, 174-194).

    Returns:
        The offset of each request.
    """
    numbers = range(len(requests))
    offline = [number for number in numbers if requests[number].offset is not None]
    online = [number for number in reversed(numbers) if requests[number].offset is None]
    online.sort(key=lambda number: -requests[number].size_bytes)

    offsets = [0] * len(requests)
    placed: set[int] = set()
    conflicts = _conflicts(requests)
    for number in offline + online:
        request = requests[number]
        taken = sorted((offsets[other], requests[other].size_bytes) for other in conflicts[number] if other in placed)
        offsets[number] = _first_gap(request.size_bytes, taken) if request.offset is None else request.offset
        placed.add(number)
    return tuple(offsets)


def _conflicts(requests: Sequence[BufferRequest]) -> list[list[int]]:
    """For each request the others that are in use at some time when it is: a sweep over time."""
    conflicts: list[list[int]] = [[] for _ in requests]
    first, last = [request.first for request in requests], [request.last for request in requests]
    active: list[int] = []
    for number in sorted(range(len(requests)), key=first.__getitem__):
        begin, end = first[number], last[number]
        active = [other for other in active if last[other] >= begin]
        for other in active:
            if first[other] <= end:
                conflicts[number].append(other)
                conflicts[other].append(number)
        active.append(number)
    return conflicts


def _first_gap(size_bytes: int, taken: Sequence[tuple[int, int]]) -> int:
    """Lowest offset with room for `size_bytes` between what is taken (offset, bytes; by offset)."""
    candidate = 0
    for offset, taken_bytes in taken:
        if offset - candidate >= size_bytes:
            break
        candidate = max(candidate, offset + taken_bytes)
    return candidate
