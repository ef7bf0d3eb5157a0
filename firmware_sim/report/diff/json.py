"""A comparison as JSON, as the schema `sapool.memdiff/1` states."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from firmware_sim.report.diff.compare import LAYER_FIGURES, Difference, LayerChange
from firmware_sim.report.diff.formats import ID
from firmware_sim.report.diff.measured import LayerFigures, Measured
from firmware_sim.report.diff.words import warnings
from firmware_sim.report.registry import Style


def render(difference: Difference, style: Style) -> str:
    """Every figure of both sides and its change; layers in the order of the later report, those that are gone at the end."""
    content = {
        "schema": ID,
        "before": _side(difference.before),
        "after": _side(difference.after),
        "figures": {
            figure.name: {"before": figure.before, "after": figure.after, "change": figure.change}
            for figure in difference.figures
        },
        "layers": [_layer(layer) for layer in difference.layers],
        "notes": warnings(difference),
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _side(measured: Measured) -> dict[str, Any]:
    return {"path": measured.path, "profile": measured.profile, "exact": measured.exact}


def _layer(change: LayerChange) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "before": _figures(change.before),
        "after": _figures(change.after),
        "change": {name: change.change(name) for name in LAYER_FIGURES},
    }


def _figures(layer: LayerFigures | None) -> dict[str, Any] | None:
    return None if layer is None else asdict(layer)
