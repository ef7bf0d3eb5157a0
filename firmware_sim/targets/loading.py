"""Reads targets from the data files of this package, one file a board, and only those that are asked for."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware_sim.errors import UsageError
from firmware_sim.targets.target import Region, Target

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
    return parse(json.loads((_FOLDER / f"{wanted}.json").read_text(encoding="utf-8")))


def parse(record: Mapping[str, Any]) -> Target:
    """A target from the content of one data file. Which regions touch is worked out from their addresses."""
    spans = [
        (entry["name"], int(entry["base"], 16), int(entry["base"], 16) + entry["size_bytes"])
        for entry in record["regions"]
        if entry["usable_for_arena"]
    ]
    regions = []
    for entry in record["regions"]:
        base = int(entry["base"], 16)
        touching = tuple(
            name
            for name, start, end in spans
            if entry["usable_for_arena"] and (end == base or start == base + entry["size_bytes"])
        )
        values = {**entry, "base": base}
        regions.append(Region(**values, contiguous_with=touching, checked=record["checked"]))
    fields = {**record, "regions": tuple(regions), "notes": tuple(record["notes"])}
    return Target(**fields)
