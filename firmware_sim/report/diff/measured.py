"""What is compared of a report, taken from one in memory or from its JSON, which may be damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from firmware_sim.accounting import MemoryReport
from firmware_sim.errors import FileError
from firmware_sim.report.json import as_dict
from firmware_sim.report.schema import ID

FIGURES: Final = (
    "total_bytes", "head_bytes", "tail_bytes", "minimum_bytes", "lower_bound_bytes", "model_bytes", "macs",
)  # fmt: skip
_MOST_LAYERS: Final = 100_000
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class LayerFigures:
    """One layer, with the names of `firmware_sim.accounting.LayerUse`; `layer` is its position in the report."""

    layer: int
    subgraph: int
    index: int
    op: str
    name: str
    live_bytes: int
    scratch_bytes: int
    persistent_bytes: int
    macs: int
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of a comparison. `figures` has all `FIGURES`, None where one is not known."""

    path: str
    profile: str
    exact: bool
    figures: Mapping[str, int | None]
    layers: tuple[LayerFigures, ...]


def from_report(report: MemoryReport) -> Measured:
    """The side that a report in memory makes."""
    return from_dict(as_dict(report), report.model.path)


def from_json(content: bytes, where: str) -> Measured:
    """The side that the JSON of a report makes, or of a list with one report.

    Raises:
        FileError: it is not JSON, or no report of the schema `sapool.memreport/1`.
    """
    try:
        report = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"not JSON: {error}", where=where) from error
    if isinstance(report, list):
        if len(report) != 1:
            raise FileError(f"{len(report)} reports in one file", where=where, hint="write one file for each target")
        report = report[0]
    if not isinstance(report, dict) or report.get("schema") != ID:
        raise FileError(f"not a memory report of the schema {ID}", where=where, hint="sapool memreport --format json")
    return from_dict(report, where)


def from_dict(report: Mapping[str, Any], where: str) -> Measured:
    """The side that the content of a report makes; what is not compared need not be in it.

    Raises:
        FileError: something that is compared is missing, or is no count.
    """
    arena = _get(report, "arena", dict, where)
    layers = _get(report, "layers", list, where)
    if len(layers) > _MOST_LAYERS:
        raise FileError(f"{len(layers)} layers; more than {_MOST_LAYERS} are not supported", where=where)
    taken = tuple(_layer(entry, number, where) for number, entry in enumerate(layers))
    flash = _get(report, "flash", dict, where)
    figures: dict[str, int | None] = {
        name: _figure(arena, name, where) for name in FIGURES[:5] if name != "minimum_bytes"
    }
    figures["minimum_bytes"] = None if arena.get("minimum_bytes", 0) is None else _figure(arena, "minimum_bytes", where)
    figures["model_bytes"] = _figure(flash, "model_bytes", where)
    figures["macs"] = sum(layer.macs for layer in taken)
    return Measured(
        path=_get(_get(report, "model", dict, where), "path", str, where),
        profile=_get(_get(report, "profile", dict, where), "id", str, where),
        exact=_get(arena, "exact", bool, where),
        figures={name: figures[name] for name in FIGURES},
        layers=taken,
    )


def _layer(entry: Any, number: int, where: str) -> LayerFigures:
    if not isinstance(entry, dict):
        raise FileError(f"layer {number} of the report is not an object", where=where)
    return LayerFigures(
        layer=number,
        subgraph=_figure(entry, "subgraph", where),
        index=_figure(entry, "index", where),
        op=_get(entry, "op", str, where),
        name=_get(entry, "name", str, where),
        live_bytes=_figure(entry, "live_bytes", where),
        scratch_bytes=_figure(entry, "scratch_bytes", where),
        persistent_bytes=_figure(entry, "persistent_bytes", where),
        macs=_figure(entry, "macs", where),
        weight_bytes=_figure(entry, "weight_bytes", where),
    )


def _figure(entry: Mapping[str, Any], name: str, where: str) -> int:
    value: int = _get(entry, name, int, where)
    if isinstance(value, bool) or not 0 <= value <= _MOST:
        raise FileError(f"'{name}' of the report is not a count", where=where)
    return value


def _get(entry: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    value = entry.get(name)
    if not isinstance(value, kind):
        raise FileError(f"the report has no '{name}', or one of the wrong type", where=where)
    return value
