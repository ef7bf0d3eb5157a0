"""The format `text`: the worst layers, then a table of all."""

from __future__ import annotations

from exporters.compare import words
from exporters.compare.result import Comparison
from firmware_sim.report.labels import printable, shorten

_TEXTS = 3  # columns that are words and not figures
_LONGEST = 36


def render(comparison: Comparison, name: str) -> str:
    """Verdict, worst layers, table; at most about 110 columns wide."""
    rows = [tuple(shorten(cell, _LONGEST) for cell in words.row(layer)) for layer in comparison.layers]
    widths = [max(map(len, column)) for column in zip(words.HEADER, *rows, strict=True)]
    lines = [printable(words.verdict(comparison)), "", "layers that lose most by themselves"]
    lines += [f"  {printable(line)}" for line in words.worst(comparison)]
    lines.append("")
    for cells in (words.HEADER, *rows):
        aligned = [
            f"{cell:<{width}}" if 0 < column < _TEXTS else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(aligned))
    return "\n".join(lines)
