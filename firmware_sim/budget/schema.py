"""The JSON Schemas of what is read and written here, and the keys of a configuration, which are those of its schema."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

CHECK_ID: Final = "sapool.check/1"
BASELINE_ID: Final = "sapool.baseline/1"
_FOLDER: Final = Path(__file__).parent


def configuration_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7, which editors know) of sapool.toml, and of [tool.sapool] in pyproject.toml."""
    return _load("sapool-1.schema.json")


def check_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the format `json`."""
    return _load("check-1.schema.json")


@cache
def configuration_keys() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of a configuration, and those of a budget in it."""
    schema = configuration_schema()
    return tuple(schema["properties"]), tuple(schema["definitions"]["budget"]["properties"])


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_FOLDER / name).read_text(encoding="utf-8"))
    return content
