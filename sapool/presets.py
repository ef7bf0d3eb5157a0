"""Networks with a name: a preset stands for the text of a specification, wherever one may stand.

They are data, in `presets.json` beside this file: name, specification, what it is, where it comes from, and what was
published of it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Preset:
    """A network with a name.

    Attributes:
        name: may stand in place of backbone, pooling and strides.
        spec: the text that it stands for.
        about: what it is, in a line.
        source: where it comes from.
        published: figures that its source prints, by name, as printed; empty where it prints none.
        shrink: it is for small devices, and an export is shrunk unless that is declined.
    """

    name: str
    spec: str
    about: str
    source: str
    published: Mapping[str, str] = field(default_factory=dict)
    shrink: bool = False


@functools.cache
def all() -> tuple[Preset, ...]:
    """Every preset, sorted by name."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))["presets"]
    return tuple(sorted((Preset(**row) for row in rows), key=lambda preset: preset.name))


def names() -> tuple[str, ...]:
    """The names of all presets, sorted."""
    return tuple(preset.name for preset in all())


def find(name: str) -> Preset | None:
    """The preset called `name`, if there is one."""
    return next((preset for preset in all() if preset.name == name), None)
