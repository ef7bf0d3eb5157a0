"""The format `json`: every figure under its own name."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from exporters.compare.result import ID, Comparison
from exporters.compare.words import WORST


def as_dict(comparison: Comparison, name: str) -> dict[str, Any]:
    """The comparison as plain dicts, lists, strings and numbers; `worst` are indices of layers."""
    plain = asdict(comparison)
    return {"schema": ID, "model": name, **plain, "worst": [layer.index for layer in comparison.worst(WORST)]}


def render(comparison: Comparison, name: str) -> str:
    """As indented JSON."""
    return json.dumps(as_dict(comparison, name), indent=2, ensure_ascii=False)
