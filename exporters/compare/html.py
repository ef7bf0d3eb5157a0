"""The format `html`: one page with the picture and the table."""

from __future__ import annotations

from exporters.compare import words
from exporters.compare.bars import bars
from exporters.compare.result import Comparison
from firmware_sim.report.page import page, table
from firmware_sim.report.picture import safe


def render(comparison: Comparison, name: str) -> str:
    """Verdict, worst layers, bars, table."""
    marked = frozenset(layer.index for layer in comparison.worst(words.WORST))
    parts = [
        f"<h1>{safe(f'Int8 against float: {name}')}</h1>",
        f"<p>{safe(words.verdict(comparison))}.</p>",
        "<h2>Layers that lose most by themselves</h2>",
        "<ul>",
        *(f"<li>{safe(line)}</li>" for line in words.worst(comparison)),
        "</ul>",
        "<h2>Layers</h2>",
        bars(comparison, name, style=False),
        table("Errors of each layer", words.HEADER, map(words.row, comparison.layers), 3, marked),
    ]
    return page(f"Int8 against float: {name}", parts)
