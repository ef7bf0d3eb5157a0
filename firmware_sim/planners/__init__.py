"""Memory planners by name: each places buffers with known lifetimes in one block of memory.

    greedy    TFLM's GreedyMemoryPlanner, place by place

Buffers that may overlap are a problem of its own: problem.py states it, first_fit.py, search.py and cpsat.py plan it, and
solve.py takes the best of them.

A planner registers itself with `@register("name")`; the name is what the command line and the report show.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from firmware_sim.errors import InternalError, UsageError
from firmware_sim.planners.base import BufferRequest, Planner, peak_bytes

__all__ = ["BufferRequest", "Planner", "get", "names", "peak_bytes", "register"]

_BUILTIN = {"greedy": "firmware_sim.planners.greedy"}
_PLANNERS: dict[str, Planner] = {}


def register(name: str) -> Callable[[Planner], Planner]:
    """Make a planner known under `name`.

    Raises:
        InternalError: another planner has that name.
    """

    def add(planner: Planner) -> Planner:
        if name in _PLANNERS:
            raise InternalError(f"two planners are called {name!r}")
        _PLANNERS[name] = planner
        return planner

    return add


def names() -> tuple[str, ...]:
    """Names of all planners."""
    return tuple(sorted({*_BUILTIN, *_PLANNERS}))


def get(name: str) -> Planner:
    """The planner of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in _PLANNERS and name in _BUILTIN:
        import_module(_BUILTIN[name])
    planner = _PLANNERS.get(name)
    if planner is None:
        raise UsageError(f"unknown planner {name!r}", hint=f"Known planners: {', '.join(names())}")
    return planner
