"""Reads budgets from sapool.toml, or from [tool.sapool] of pyproject.toml."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from firmware_sim.budget.budget import Budget, Place
from firmware_sim.budget.lines import budget_lines
from firmware_sim.budget.parsing import KeyProblem, parse
from firmware_sim.budget.schema import configuration_keys
from firmware_sim.errors import UsageError
from firmware_sim.records import Record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_BASELINE: Final = "sapool-baseline.json"
_EXAMPLE = '[[budget]] with name, model, target and arena, for example arena = "96 KiB"'


class Configuration(Record):
    """What a configuration file states.

    Attributes:
        path: the file.
        budgets: in the order of the file.
        baseline: where the figures are stored that growth is judged against; the file need not be there.
    """

    path: Path
    budgets: tuple[Budget, ...]
    baseline: Path


def find(folder: Path) -> Path:
    """The configuration of the project in `folder`: its sapool.toml, else a pyproject.toml with [tool.sapool].

    Raises:
        UsageError: there is neither, or the pyproject.toml is not valid TOML.
    """
    own = folder / "sapool.toml"
    if own.is_file():
        return own
    project = folder / "pyproject.toml"
    if project.is_file() and "sapool" in _table(_toml(_text(project), project), "tool", project):
        return project
    raise UsageError("no sapool.toml, and no [tool.sapool] in a pyproject.toml", where=folder, hint=f"write {_EXAMPLE}")


def load(path: str | Path) -> Configuration:
    """The budgets that a configuration file states, in its order.

    Args:
        path: a sapool.toml, or a pyproject.toml, whose budgets are in [[tool.sapool.budget]].

    Raises:
        UsageError: no such file, no valid TOML, an unknown key (with the nearest known one), a value that makes no sense,
            two budgets of one name, or no budget at all; with the line where it can be told.
    """
    path = Path(path)
    text = _text(path)
    content: Mapping[str, Any] = _toml(text, path)
    name = "budget"
    if path.name == "pyproject.toml":
        content, name = _table(_table(content, "tool", path), "sapool", path), "tool.sapool.budget"
    known, known_of_a_budget = configuration_keys()
    _known(content, known, str(path))
    tables = content.get("budget", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError("'budget' has to be a list of tables", where=path, hint=f"write {_EXAMPLE}")
    if not tables:
        raise UsageError("no budget is stated", where=path, hint=f"write {_EXAMPLE}")
    lines = budget_lines(text, name)
    if len(lines) != len(tables):
        lines = ({},) * len(tables)
    budgets: dict[str, Budget] = {}
    for number, (table, places) in enumerate(zip(tables, lines, strict=True), start=1):
        reader = _Reader(path, places, number)
        budget = reader.read(table, known_of_a_budget, path.parent)
        if budget.name in budgets:
            raise UsageError("a second budget of that name", where=reader.where(budget.name, "name"))
        budgets[budget.name] = budget
    return Configuration(path, tuple(budgets.values()), path.parent / _baseline(content, path))


def state(keys: Mapping[str, Any], folder: Path) -> Budget:
    """A budget that no file states, from the keys of a `[[budget]]` table; its model is relative to `folder`.

    Raises:
        UsageError: an unknown key (with the nearest known one), or a value that makes no sense.
    """
    budget = _Reader(folder, {}, 1).read(keys, configuration_keys()[1], folder)
    return replace(budget, place=None)


class _Reader(Record):
    """Reads one `[[budget]]` and says where in the file it goes wrong. `lines` is what `budget_lines` found of it."""

    path: Path
    lines: Mapping[str, int]
    number: int

    def where(self, name: str, key: str | None = None) -> str:
        line = self.lines.get(key or "", self.lines.get(""))
        return f"{self.path}:{line}: budget '{name}'" if line else f"{self.path}: budget '{name}'"

    def read(self, table: Mapping[str, Any], known: Iterable[str], folder: Path) -> Budget:
        name = table.get("name", f"budget {self.number}")
        if not isinstance(name, str) or not name.strip():
            where = self.where(f"budget {self.number}", "name")
            raise UsageError(f"'name' has to be text, not {name!r}", where=where)
        for key in table:
            _known((key,), known, self.where(name, key))
        try:
            return parse(name, table, folder, Place(self.path, self.lines.get("", 1)))
        except KeyProblem as problem:
            raise UsageError(problem.message, where=self.where(name, problem.key), hint=problem.hint) from problem


def _baseline(content: Mapping[str, Any], path: Path) -> str:
    name = content.get("baseline", DEFAULT_BASELINE)
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"'baseline' has to be the path of a file, not {name!r}", where=path)
    return name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=path) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=path) from error


def _toml(text: str, path: Path) -> dict[str, Any]:
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


def _known(found: Iterable[str], known: Iterable[str], where: str) -> None:
    for key in found:
        if key in known:
            continue
        nearest = difflib.get_close_matches(key.replace("_", "-"), list(known), n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"known keys: {', '.join(known)}"
        raise UsageError(f"unknown key '{key}'", where=where, hint=hint)
