"""The format `csv`: a header, and one row a layer (RFC 4180)."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields

from exporters.compare.result import Comparison, LayerError
from firmware_sim.report.csv import cell

COLUMNS = ("model", *(field.name for field in fields(LayerError)))


def render(comparison: Comparison, name: str) -> str:
    """The layers; a figure that there is not is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for layer in comparison.layers:
        values = [cell(value) if isinstance(value, str) else value for value in asdict(layer).values()]
        writer.writerow([cell(name), *values])
    return stream.getvalue()
