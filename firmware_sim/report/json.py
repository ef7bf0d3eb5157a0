"""The format `json`: every field of the report under its own name, as the schema `sapool.memreport/1` states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from firmware_sim.accounting import MemoryReport
from firmware_sim.report.reasons import explain
from firmware_sim.report.registry import Style, register
from firmware_sim.report.schema import ID


def as_dict(report: MemoryReport, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The report as plain dicts, lists, strings and numbers."""
    return {"schema": ID, **plain(report), "explanation": plain(explain(report)), "notes": list(notes)}


@register("json")
def render(report: MemoryReport, notes: tuple[str, ...], style: Style) -> str:
    """The report as indented JSON."""
    return json.dumps(as_dict(report, notes), indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A part of a report as plain dicts, lists, strings and numbers."""
    # dataclasses.asdict copies mappings with their own constructor, which read-only ones do not have. Plain values come
    # first because there are most of them, up to a million in a report of a large model.
    if value is None or isinstance(value, int | str):
        return value
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple("sha256" if field.name == "digest" else field.name for field in fields(kind))
