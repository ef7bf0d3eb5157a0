"""The rest of the TFLite schema: what only a lossless copy of a file needs. Loaded when a file is rewritten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from firmware_sim.schema import OPTIONS, TABLES, Field, fields

_DATA: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("rest.json").read_text("utf-8"))

ALL_TABLES: Final[Mapping[str, Mapping[str, Field]]] = {
    **TABLES,
    **{name: options.fields for name, options in OPTIONS.items()},
    **{name: fields(raw) for name, raw in _DATA["tables"].items()},
}
"""Every table of the schema: its fields by name."""

HOLDS: Final[Mapping[str, str]] = _DATA["holds"]
""""Table.field" to the table, or the union, that a field of kind "table" or "[table]" holds."""

UNIONS: Final[Mapping[str, Mapping[int, str]]] = {
    name: {
        **{int(code): table for code, table in members.items()},
        **({options.code: options.name for options in OPTIONS.values()} if name == "BuiltinOptions" else {}),
    }
    for name, members in _DATA["unions"].items()
}
"""Union to its members: code to table."""
