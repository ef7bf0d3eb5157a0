"""The format `json`, as the schema `sapool.shrink/1` beside this file states."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firmware_sim.report.json import plain
from firmware_sim.report.shrink import ShrinkReport

ID = "sapool.shrink/1"


def schema() -> dict[str, Any]:
    """The JSON schema of the format."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("shrink-1.schema.json").read_text("utf-8"))
    return content


def render(report: ShrinkReport) -> str:
    """Every figure under the name of its field; passes in their order, each with what was left after it."""
    shrunk = report.shrunk
    before, after = shrunk.before, shrunk.after
    return json.dumps(
        {
            "schema": ID,
            "model": plain(before.model),
            "result": {"sha256": hashlib.sha256(shrunk.content).hexdigest(), "bytes": len(shrunk.content)},
            "kernels": shrunk.kernels,
            "profile": asdict(before.profile),
            "changed": shrunk.is_changed,
            "before": {"head_bytes": before.arena.head_bytes, "total_bytes": before.arena.total_bytes},
            "after": {"head_bytes": after.arena.head_bytes, "total_bytes": after.arena.total_bytes},
            "bound_bytes": shrunk.bound_bytes,
            "floor_bytes": shrunk.floor_bytes,
            "passes": [asdict(use) for use in shrunk.passes],
            "builds": [asdict(build) for build in shrunk.builds],
            "safe_with": list(shrunk.libraries),
            "proof": None if report.proof is None else asdict(report.proof),
            "unproven": report.unproven or None,
            "notes": list(shrunk.notes),
            "int8_inputs": [asdict(change) for change in shrunk.inputs],
        },
        indent=2,
        ensure_ascii=False,
    )
