"""What a module's forward gives back: one value, several, or several by name."""

from __future__ import annotations

from typing import Any


def values(result: Any) -> list[Any]:
    """All of them, in their order."""
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (tuple, list)) else [result]
