"""The format `svg`: the picture alone, as a file of its own."""

from __future__ import annotations

from exporters.compare.bars import bars
from exporters.compare.result import Comparison


def render(comparison: Comparison, name: str) -> str:
    """See `exporters.compare.bars`."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{bars(comparison, name)}'
