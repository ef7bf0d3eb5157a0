"""The format `json`, as the schema `sapool.bands/1` beside this file states."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firmware_sim.report.bands import BandsReport
from firmware_sim.report.shrink.json import render as shrink_json

ID = "sapool.bands/1"


def schema() -> dict[str, Any]:
    """The JSON schema of the format."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("bands-1.schema.json").read_text("utf-8"))
    return content


def render(report: BandsReport) -> str:
    """The text of `as_dict`."""
    return json.dumps(as_dict(report), indent=2, ensure_ascii=False)


def as_dict(report: BandsReport) -> dict[str, Any]:
    """Stages, ladder, and under `shrink` the report of shrinking as it is without bands."""
    banded = report.banded
    return {
        "schema": ID,
        "form": banded.form,
        "reason": banded.reason or None,
        "macs": banded.macs,
        "minimum_bytes": banded.shrunk.after.arena.minimum_bytes,
        "stages": [
            {
                "source": stage.source,
                "result": stage.result,
                "operators": stage.operators,
                "rows": stage.rows,
                "heights": list(stage.heights),
                "upward": stage.upward,
                "lines": stage.banding.lines,
                "again": list(stage.again),
            }
            for stage in banded.stages
        ],
        "ladder": [asdict(rung) for rung in banded.rungs],
        "new_operators": list(banded.operators),
        "tensors_compared": None if report.tensors is None else asdict(report.tensors),
        "shrink": json.loads(shrink_json(report.shrink)),
    }
