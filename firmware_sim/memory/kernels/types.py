"""Element types that kernels take, from the table beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from firmware_sim.memory.kernels.context import Node


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("types.json").read_text("utf-8"))
    return table


def untaken_type(node: Node) -> str | None:
    """The type of a builtin operator's data if its kernel is not known to take it, else None."""
    table = _table()
    taken = table["types"].get(node.operator.op)
    data = node.optional_input(table["position"].get(node.operator.op, 0))
    return None if taken is None or data is None or data.type in taken else data.type
