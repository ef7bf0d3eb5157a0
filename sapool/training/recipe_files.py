"""Recipes as small JSON files: the settings of a `FitConfig` that they change, and what they are for."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sapool.errors import UsageError
from sapool.settings import typed
from sapool.training.config import FitConfig

FOLDER: Final = Path(__file__).with_name("recipes")
DEFAULT: Final = "scratch"
_ABOUT: Final = "about"
# With postponed annotations the types of the fields are text.
_KINDS: Final = {"int": int, "float": float, "str": str, "bool | None": bool}
_SETTINGS: Final = {field.name: _KINDS[str(field.type)] for field in dataclasses.fields(FitConfig)}


def names() -> tuple[str, ...]:
    """The recipes that come with sapool, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def about(name: str) -> str:
    """What one of them is for, in a line."""
    return str(_content(FOLDER / f"{name}.json")[_ABOUT])


def load(recipe: str, changes: Mapping[str, Any] | None = None) -> FitConfig:
    """The settings of a recipe.

    Args:
        recipe: one of `names()`, or the path of a file: a JSON object with settings of `FitConfig` by name; "about" is for
            people.
        changes: settings that take the place of the recipe's; those that are None do not.

    Raises:
        UsageError: no such recipe, no JSON (with the line), an unknown setting (with the nearest known one), or a value that
            makes no sense.
    """
    path = FOLDER / f"{recipe}.json" if recipe in names() else Path(recipe)
    settings = {name: value for name, value in _content(path).items() if name != _ABOUT}
    for name, value in settings.items():
        if name not in _SETTINGS:
            nearest = difflib.get_close_matches(name.replace("-", "_"), _SETTINGS, n=1)
            hint = f"did you mean '{nearest[0]}'?" if nearest else f"settings: {', '.join(_SETTINGS)}"
            raise UsageError(f"unknown setting '{name}'", where=path, hint=hint)
        try:
            typed(name, value, _SETTINGS[name])
        except UsageError as error:
            raise UsageError(error.message, where=path, hint=error.hint) from error
    settings.update((name, value) for name, value in (changes or {}).items() if value is not None)
    return FitConfig(**settings)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UsageError("no such recipe", where=path, hint=f"give a file, or one of {', '.join(names())}") from error
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror or error}", where=path) from error
    except json.JSONDecodeError as error:
        raise UsageError(f"not valid JSON: {error.msg}", where=f"{path}:{error.lineno}") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError("not valid JSON", where=path) from error
    if not isinstance(content, dict):
        raise UsageError("has to be a JSON object of settings", where=path)
    return content
