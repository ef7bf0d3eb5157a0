"""The format `svg`: the arena map alone, as a file of its own."""

from __future__ import annotations

from firmware_sim.accounting import MemoryReport
from firmware_sim.report.arena_map import arena_map
from firmware_sim.report.registry import Style, register


@register("svg")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """The map; see `firmware_sim.report.arena_map`."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{arena_map(report)}'
