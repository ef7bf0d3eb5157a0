"""What the networks that have a name cost: computed once, kept as data, so that a list of them is there at once.

`prices.json` beside this file is written by `python tools/model_prices.py`; a test holds it against the code. The price of
any other network is computed when it is asked for, by `sapool.pricing`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sapool import catalog, presets
from sapool.spec import parse

FILE: Final = Path(__file__).with_suffix(".json")


def named() -> dict[str, str]:
    """Every name that stands for a network, backbones first, and the text of its specification."""
    names = [*sorted(catalog.BACKBONES), *presets.names()]
    return {name: str(parse(name)) for name in names}


@functools.cache
def stored() -> Mapping[str, Mapping[str, Any]]:
    """The prices that are kept, by the text of a specification."""
    models: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["models"]
    return models


def describe(text: str) -> dict[str, Any]:
    """What the network of one specification costs, computed now: JSON values.

    Raises:
        UsageError: the specification makes no sense.
        ExportError: the network has no integer form.
    """
    from sapool.pricing import PROFILE, price
    from sapool.spec import extents

    spec = parse(text)
    cost = price(spec)
    return {
        "spec": str(spec),
        "parameters": cost.parameters,
        "macs": cost.macs,
        "extents": list(extents(spec)),
        "arena": {
            "profile": PROFILE,
            "total_bytes": cost.arena.total_bytes,
            "head_bytes": cost.arena.head_bytes,
            "tail_bytes": cost.arena.tail_bytes,
            "exact": cost.arena.exact,
        },
        "model_bytes": cost.model_bytes,
    }
