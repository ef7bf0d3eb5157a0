"""The formats of a comparison, by name."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from firmware_sim.errors import UsageError
from firmware_sim.report.diff.compare import Difference
from firmware_sim.report.registry import Style

ID: Final = "sapool.memdiff/1"
_FORMATS: Final = ("text", "json", "markdown")


def formats() -> tuple[str, ...]:
    """The names of the formats, "text" first."""
    return _FORMATS


def render(difference: Difference, format: str = "text", *, style: Style | None = None) -> str:
    """Write a comparison in one of the `formats`.

    Raises:
        UsageError: there is no such format.
    """
    if format not in _FORMATS:
        raise UsageError(f"a comparison has no format '{format}'", hint=f"formats: {', '.join(_FORMATS)}")
    text: str = import_module(f"firmware_sim.report.diff.{format}").render(difference, style or Style())
    return text


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) that every comparison in the format `json` meets."""
    path = Path(__file__).with_name("memdiff-1.schema.json")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
