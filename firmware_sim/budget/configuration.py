"""Reads budgets from sapool.toml, or from [tool.sapool] of pyproject.toml."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_sim.budget.budget import Budget, parse
from firmware_sim.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("name", "model", "target", "profile", "arena", "flash", "warn-at", "informational")
_EXAMPLE = '[[budget]] with name, model, target and arena, for example arena = "96 KiB"'


def find(folder: Path) -> Path:
    """The configuration of the project in `folder`: its sapool.toml, else a pyproject.toml with [tool.sapool].

    Raises:
        UsageError: there is neither, or the pyproject.toml is not valid TOML.
    """
    own = folder / "sapool.toml"
    if own.is_file():
        return own
    project = folder / "pyproject.toml"
    if project.is_file() and "sapool" in _table(_toml(project), "tool", project):
        return project
    raise UsageError("no sapool.toml, and no [tool.sapool] in a pyproject.toml", where=folder, hint=f"write {_EXAMPLE}")


def load(path: str | Path) -> tuple[Budget, ...]:
    """The budgets that a configuration file states, in its order.

    Args:
        path: a sapool.toml, or a pyproject.toml, whose budgets are in [[tool.sapool.budget]].

    Raises:
        UsageError: no such file, no valid TOML (with the line), an unknown key (with the nearest known one), a value that
            makes no sense, two budgets of one name, or no budget at all.
    """
    path = Path(path)
    content: Mapping[str, Any] = _toml(path)
    if path.name == "pyproject.toml":
        content = _table(_table(content, "tool", path), "sapool", path)
    _known(content, ("budget",), path)
    tables = content.get("budget", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError("'budget' has to be a list of tables", where=path, hint=f"write {_EXAMPLE}")
    if not tables:
        raise UsageError("no budget is stated", where=path, hint=f"write {_EXAMPLE}")
    budgets: dict[str, Budget] = {}
    for number, table in enumerate(tables, start=1):
        name = _name(table, number, path)
        place = f"{path}: budget '{name}'"
        _known(table, _KEYS, place)
        if name in budgets:
            raise UsageError("a second budget of that name", where=place)
        try:
            budgets[name] = parse(name, table, path.parent)
        except UsageError as error:
            raise UsageError(error.message, where=place, hint=error.hint) from error
    return tuple(budgets.values())


def _toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=path) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=path) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        stated = re.search(r"at line (\d+)", str(error))
        # What runs into the end of the document is reported without a line.
        line = stated[1] if stated else text.count("\n") + 1
        raise UsageError(f"not valid TOML: {error}", where=f"{path}:{line}") from error
    except RecursionError as error:
        raise UsageError("not valid TOML: nested too deeply", where=path) from error


def _table(content: Mapping[str, Any], key: str, path: Path) -> Mapping[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise UsageError(f"'{key}' has to be a table", where=path)
    return table


def _known(table: Mapping[str, Any], keys: Iterable[str], where: str | Path) -> None:
    for key in table:
        if key in keys:
            continue
        nearest = difflib.get_close_matches(key.replace("_", "-"), list(keys), n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known keys: {', '.join(keys)}"
        raise UsageError(f"unknown key '{key}'", where=where, hint=hint)


def _name(table: Mapping[str, Any], number: int, path: Path) -> str:
    name = table.get("name", f"budget {number}")
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"'name' has to be text, not {name!r}", where=f"{path}: budget {number}")
    return name
