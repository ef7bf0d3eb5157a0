"""Reads the targets of a user's own file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from firmware_sim.errors import UsageError
from firmware_sim.targets.records import Place, parse
from firmware_sim.targets.target import Target

SCHEMA: Final = "sapool.targets/1"
_LARGEST: Final = 1024**2


def load(path: str | Path) -> tuple[Target, ...]:
    """The targets of a JSON file: one target, or what `sapool targets --format json` writes.

    The file has the fields of the package's own data files; `source` and the like may be left out. The schema is
    target-1.schema.json.

    Raises:
        UsageError: the file cannot be read, is larger than 1 MiB, no UTF-8 or no JSON (with the line), or a field is
            wrong (with field and line).
    """
    path = Path(path)
    text = _text(path)
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"not valid JSON: {error.msg}, column {error.colno}", where=f"{path}:{error.lineno}"
        ) from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"not valid JSON: {reason}", where=path) from error
    place = Place(str(path), text)
    if not isinstance(content, dict) or "targets" not in content:
        return (parse(content, place),)
    return _document(content, place)


def _document(content: dict[str, Any], place: Place) -> tuple[Target, ...]:
    if content.get("schema") != SCHEMA:
        raise UsageError(f"'schema' has to be {SCHEMA!r}", where=place.at(("schema",)))
    records = content["targets"]
    if content.keys() != {"schema", "targets"} or not isinstance(records, list) or not records:
        raise UsageError("'targets' has to be a list of targets, with nothing beside it", where=place.at(("targets",)))
    found: dict[str, Target] = {}
    for index, entry in enumerate(records):
        target = parse(entry, place, ("targets", index))
        if target.id in found:
            raise UsageError(f"a second target '{target.id}'", where=place.at(("targets", index, "id")))
        found[target.id] = target
    return tuple(found.values())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError(f"cannot be read: {reason or error}", where=path) from error
    if len(data) > _LARGEST:
        raise UsageError(f"larger than {_LARGEST:,} bytes; no target file is", where=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=path) from error


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        twice = next(key for key in table if sum(name == key for name, _ in pairs) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return table


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
