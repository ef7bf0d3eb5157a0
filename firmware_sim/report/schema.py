"""The JSON Schema of the report format `json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ID = "sapool.memreport/1"


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every report in the format `json` meets."""
    content: dict[str, Any] = json.loads(
        Path(__file__).with_name("memreport-1.schema.json").read_text(encoding="utf-8")
    )
    return content
