"""Reads targets from the data files of this package, one file a board, and only those that are asked for."""

from __future__ import annotations

import difflib
import functools
import json
from pathlib import Path

from firmware_sim.errors import UsageError
from firmware_sim.targets.records import Place, parse
from firmware_sim.targets.target import Target

_FOLDER = Path(__file__).with_name("data")


def ids() -> tuple[str, ...]:
    """The ids of all targets, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def all() -> tuple[Target, ...]:
    """Every target, sorted by id."""
    return tuple(get(name) for name in ids())


@functools.cache
def get(id: str) -> Target:
    """The target called `id`; case does not matter.

    Raises:
        UsageError: there is none; the message lists the nearest ids.
    """
    wanted = id.strip().lower()
    known = ids()
    if wanted not in known:
        nearest = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else f"known targets: {', '.join(known)}"
        raise UsageError(f"unknown target '{id}'", hint=hint)
    path = _FOLDER / f"{wanted}.json"
    return parse(json.loads(path.read_text(encoding="utf-8")), Place(path.name))
