"""The figures that growth is judged against: a JSON file that is made to be committed.

It is sorted, has a line for each layer, and holds nothing that changes while the models stay as they are: no date, no
version, no absolute path.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from firmware_sim.budget.schema import BASELINE_ID
from firmware_sim.errors import FileError
from firmware_sim.records import Record
from firmware_sim.report.diff import Measured, from_dict

_LARGEST_BYTES: Final = 256 * 1024**2
_COLUMNS: Final = (
    "subgraph", "index", "op", "name", "live_bytes", "scratch_bytes", "persistent_bytes", "macs", "weight_bytes",
)  # fmt: skip
_ARENA: Final = ("total_bytes", "head_bytes", "tail_bytes", "minimum_bytes", "lower_bound_bytes")


class Key(NamedTuple):
    """Which figures: those of one model under one budget and profile. `model` is relative to the configuration."""

    budget: str
    model: str
    profile: str


class Baseline(Record):
    """What a baseline file holds, and where it is; no entries if there is no such file."""

    path: Path
    entries: Mapping[Key, Measured] = {}
    exists: bool = False


def load(path: str | Path) -> Baseline:
    """Read a baseline; one without entries if there is no such file.

    Raises:
        FileError: the file cannot be read, or is no baseline.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        return Baseline(path)
    except OSError as error:
        raise FileError(error.strerror or str(error), where=path) from error
    if len(content) > _LARGEST_BYTES:
        raise FileError(f"larger than {_LARGEST_BYTES:,} bytes; no baseline is", where=path)
    try:
        entries = _entries(content, str(path))
    except FileError as error:
        hint = error.hint or "sapool check --update-baseline writes it anew; remove the damaged one first"
        raise FileError(error.message, where=path, hint=hint) from error
    return Baseline(path, entries, exists=True)


def dump(entries: Mapping[Key, Measured]) -> str:
    """The text of a baseline file with these entries."""
    texts = ",\n".join(_entry_text(key, entries[key]) for key in sorted(entries))
    return (
        f'{{\n"schema": {json.dumps(BASELINE_ID)},\n"columns": {json.dumps(_COLUMNS)},\n'
        f'"entries": [{f"{chr(10)}{texts}{chr(10)}" if texts else ""}]\n}}\n'
    )


def _entry_text(key: Key, measured: Measured) -> str:
    figures = measured.figures
    content = {
        "budget": key.budget,
        "model": key.model,
        "profile": key.profile,
        "exact": measured.exact,
        "arena": {name: figures[name] for name in _ARENA},
        "flash": {"model_bytes": figures["model_bytes"]},
    }
    lines = [f"  {_json(name)}: {_json(value)}," for name, value in content.items()]
    layers = ",\n".join(f"    {_json([getattr(layer, column) for column in _COLUMNS])}" for layer in measured.layers)
    return "\n".join(["  {", *lines, f'  "layers": [\n{layers}\n  ]}}' if layers else '  "layers": []}'])


def _json(value: Any) -> str:
    # Names of files may hold what is no text at all; ASCII escapes bring every one of them through.
    return json.dumps(value, ensure_ascii=not _is_text(value))


def _is_text(value: Any) -> bool:
    texts: Iterable[Any] = value if isinstance(value, list) else (value,)
    return all(text.isprintable() for text in texts if isinstance(text, str))


def _entries(content: bytes, where: str) -> dict[Key, Measured]:
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"not JSON: {error}", where=where) from error
    if not isinstance(stored, dict) or stored.get("schema") != BASELINE_ID:
        raise FileError(f"not a baseline of the schema {BASELINE_ID}", where=where)
    columns, entries = stored.get("columns"), stored.get("entries")
    if not isinstance(columns, list) or not isinstance(entries, list):
        raise FileError("the baseline has no 'columns' or no 'entries'", where=where)
    found: dict[Key, Measured] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise FileError(f"entry {number} of the baseline is not an object", where=where)
        key = _key(entry, number, where)
        if key in found:
            raise FileError(f"two entries for {key.budget!r}, {key.model!r}, {key.profile!r}", where=where)
        found[key] = from_dict(_report(entry, columns, key, where), where)
    return found


def _key(entry: Mapping[str, Any], number: int, where: str) -> Key:
    values = [entry.get(name) for name in ("budget", "model", "profile")]
    if not all(isinstance(value, str) for value in values):
        raise FileError(f"entry {number} of the baseline does not say what it is for", where=where)
    return Key(*(str(value) for value in values))


def _report(entry: Mapping[str, Any], columns: list[Any], key: Key, where: str) -> dict[str, Any]:
    """An entry in the form of a memory report, whose reader checks it."""
    arena, layers = entry.get("arena"), entry.get("layers")
    if not isinstance(arena, dict) or not isinstance(layers, list):
        raise FileError(f"the entry for {key.model!r} has no 'arena' or no 'layers'", where=where)
    if not all(isinstance(layer, list) and len(layer) == len(columns) for layer in layers):
        raise FileError(f"the entry for {key.model!r} has a layer without all columns", where=where)
    return {
        "model": {"path": key.model},
        "profile": {"id": key.profile},
        "arena": {**arena, "exact": entry.get("exact")},
        "flash": entry.get("flash"),
        "layers": [dict(zip(map(str, columns), layer, strict=True)) for layer in layers],
    }
