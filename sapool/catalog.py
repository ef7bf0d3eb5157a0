"""Names of everything that can be asked for, without importing torch: the registries fill in the code behind them.

A specification is parsed and checked in places where torch is not installed, so the names, and the options of each
pooling method with their types, stand here; a test holds this file against the registries.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

from sapool.errors import UsageError

OptionType = type[int] | type[float] | type[bool]

BACKBONES: Final[Mapping[str, str]] = {
    "mobilenet_v2": "sapool.models.mobilenet_v2",
}
"""Backbone to the module that registers it."""

STAGES: Final[Mapping[str, int]] = {"mobilenet_v2": 7}
"""Number of stages, which is the length of a stride string."""

POOLING: Final[Mapping[str, str]] = {
    "strided": "sapool.pooling.strided",
    "max": "sapool.pooling.max",
    "average": "sapool.pooling.average",
    "self_attentive": "sapool.pooling.self_attentive",
}
"""Pooling method to the module that registers it."""

POOLING_OPTIONS: Final[Mapping[str, Mapping[str, OptionType]]] = {
    "strided": {},
    "max": {},
    "average": {},
    "self_attentive": {"patch": int, "heads": int, "ratio": float, "window_norm": bool},
}

PLACEMENTS: Final = ("before", "after", "end")


def known(kind: str, name: str, names: Iterable[str], *, where: str | None = None) -> str:
    """`name` if it is one of `names`.

    Raises:
        UsageError: it is not; the hint has the nearest one, or all of them.
    """
    names = tuple(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
    raise UsageError(f"no {kind} is called {name!r}", where=where, hint=hint)
