"""TFLM's GreedyMemoryPlanner: largest buffer first, each at the lowest offset where it fits.

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc:162-310.
"""

from __future__ import annotations

from bisect import bisect_right
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
    placed: list[int] = []  # request numbers by offset, with the offsets themselves beside them
    placed_offsets: list[int] = []
    for number in offline + online:
        request = requests[number]
        fixed = request.offset
        offset = _first_gap(request, requests, placed, placed_offsets) if fixed is None else fixed
        offsets[number] = offset
        # Behind all entries with the same offset, as lines 279-308 do.
        index = bisect_right(placed_offsets, offset)
        placed.insert(index, number)
        placed_offsets.insert(index, offset)
    return tuple(offsets)


def _first_gap(
    request: BufferRequest,
    requests: Sequence[BufferRequest],
    placed: Sequence[int],
    placed_offsets: Sequence[int],
) -> int:
    """Lowest offset at which `request` meets no placed buffer that lives at the same time."""
    size, first, last = request.size_bytes, request.first, request.last
    candidate = 0
    for number, offset in zip(placed, placed_offsets, strict=True):
        other = requests[number]
        if other.first > last or first > other.last:
            continue
        if offset - candidate >= size:
            break
        candidate = max(candidate, offset + other.size_bytes)
    return candidate
