"""Two memory reports compared: what grew, by how much, and which layers did it."""

from firmware_sim.report.diff.compare import Difference, FigureChange, LayerChange, compare
from firmware_sim.report.diff.formats import formats, render, schema
from firmware_sim.report.diff.measured import LayerFigures, Measured, from_dict, from_json, from_report

__all__ = [
    "Difference",
    "FigureChange",
    "LayerChange",
    "LayerFigures",
    "Measured",
    "compare",
    "formats",
    "from_dict",
    "from_json",
    "from_report",
    "render",
    "schema",
]
