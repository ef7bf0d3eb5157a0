"""What no planner can beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from firmware_sim.planners.base import BufferRequest


def lower_bound_bytes(requests: Sequence[BufferRequest]) -> int:
    """Largest sum of the sizes of buffers that are in use at one time; 0 without buffers."""
    change: Counter[int] = Counter()
    for request in requests:
        change[request.first] += request.size_bytes
        change[request.last + 1] -= request.size_bytes
    live = peak = 0
    for time in sorted(change):
        live += change[time]
        peak = max(peak, live)
    return peak
