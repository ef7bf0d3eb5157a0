"""The keys that state a budget in a configuration file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from firmware_sim import profiles, sizes, targets
from firmware_sim.budget.budget import Budget, Increase, Place
from firmware_sim.errors import UsageError

_PERCENT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


class KeyProblem(UsageError):
    """A value that makes no sense; `key` is the one it stands at, None if the budget as a whole is at fault."""

    def __init__(self, message: str, key: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.key = key


def parse(name: str, value: Mapping[str, Any], folder: Path, place: Place | None = None) -> Budget:
    """A budget from one `[[budget]]` table whose keys are known to be right.

    Raises:
        KeyProblem: a value makes no sense, or nothing is limited.
    """
    if "target" in value and "profile" in value:
        raise KeyProblem("'target' and 'profile' exclude each other", "profile", hint="a target names its profile")
    model = _text(value, "model")
    if model is None:
        raise KeyProblem("'model' is missing", hint='model = "build/net.tflite", or a glob such as "build/*.tflite"')
    target, board = _target(value, folder)
    arena_increase, flash_increase = _increases(value)
    budget = Budget(
        name=name,
        model=model,
        folder=folder,
        target=target,
        arena_bytes=_size(value, "arena"),
        flash_bytes=_size(value, "flash"),
        warn_at=_share(value),
        informational=_flag(value, "informational"),
        regions=_regions(value, board),
        arena_increase=arena_increase,
        flash_increase=flash_increase,
        allow_ops=_names(value, "allow-ops"),
        runs=_flag(value, "runs"),
        exact=_flag(value, "exact"),
        place=place,
        board=board if "target-file" in value else None,
        reserve=_reserve(value, board),
    )
    if board is None and not budget.states_a_limit:
        raise KeyProblem(
            "nothing is limited", hint="give 'arena', 'flash', 'max-increase', ..., or a board as 'target'"
        )
    return budget


def _text(value: Mapping[str, Any], key: str) -> str | None:
    text = value.get(key)
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise KeyProblem(f"'{key}' has to be text, not {text!r}", key)
    return text


def _target(value: Mapping[str, Any], folder: Path) -> tuple[str, targets.Target | None]:
    """The name that the figures are for, and the board if it is one."""
    profile = _text(value, "profile")
    file = _text(value, "target-file")
    if file is not None:
        if profile is not None:
            raise KeyProblem(
                "'target-file' and 'profile' exclude each other", "profile", hint="a board names its profile"
            )
        board = _own_board(folder / file, _text(value, "target"))
        return board.id, board
    try:
        if profile is not None:
            return profiles.get(profile).id, None
        target = _text(value, "target") or profiles.DEFAULT
        return target, targets.resolve(target)[1]
    except KeyProblem:
        raise
    except UsageError as error:
        raise KeyProblem(error.message, "target" if profile is None else "profile", hint=error.hint) from error


def _own_board(path: Path, name: str | None) -> targets.Target:
    try:
        boards = {board.id: board for board in targets.load(path)}
    except UsageError as error:
        raise KeyProblem(f"{error.where}: {error.message}", "target-file", hint=error.hint) from error
    if name is None and len(boards) == 1:
        return next(iter(boards.values()))
    if name not in boards:
        message = f"{path} has {len(boards)} boards" if name is None else f"{path} has no board '{name}'"
        raise KeyProblem(message, "target" if name else "target-file", hint=f"target = one of: {', '.join(boards)}")
    return boards[name]


def _reserve(value: Mapping[str, Any], board: targets.Target | None) -> targets.Reserve | None:
    keys = {"reserve-ram": "ram_bytes", "reserve-flash": "flash_bytes"}
    given = {field: _bytes(value[key], key, key) for key, field in keys.items() if key in value}
    if not given:
        return None
    if board is None:
        key = next(key for key in keys if key in value)
        raise KeyProblem(f"'{key}' needs a board as 'target'", key, hint="a profile has no memory regions")
    return replace(targets.DEFAULT_RESERVE, **given)


def _size(value: Mapping[str, Any], key: str) -> int | None:
    return None if key not in value else _bytes(value[key], key, key)


def _bytes(value: object, name: str, key: str) -> int:
    try:
        return sizes.parse(value)
    except UsageError as error:
        raise KeyProblem(f"'{name}': {error.message}", key, hint=error.hint) from error


def _regions(value: Mapping[str, Any], board: targets.Target | None) -> dict[str, int]:
    regions = value.get("regions", {})
    if not isinstance(regions, dict):
        raise KeyProblem("'regions' has to be a table of sizes", "regions", hint='regions = { sram1 = "96 KiB" }')
    if regions and board is None:
        raise KeyProblem("'regions' needs a board as 'target'", "regions", hint="a profile has no memory regions")
    known = [region.name for region in board.regions] if board is not None else []
    for region in regions:
        if region not in known:
            raise KeyProblem(f"{_board(board)} has no region '{region}'", "regions", hint=_nearest(region, known))
    return {region: _bytes(size, f"regions.{region}", "regions") for region, size in regions.items()}


def _board(board: targets.Target | None) -> str:
    return "the target" if board is None else board.id


def _nearest(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"its regions: {', '.join(known)}"


def _increases(value: Mapping[str, Any]) -> tuple[Increase | None, Increase | None]:
    """What arena and flash may grow: one value for both, or a table with one for each."""
    stated = value.get("max-increase")
    if stated is None:
        return None, None
    if not isinstance(stated, dict):
        both = _increase(stated, "max-increase")
        return both, both
    unknown = [key for key in stated if key not in ("arena", "flash")]
    if unknown or not stated:
        raise KeyProblem(
            f"'max-increase' knows no '{unknown[0]}'" if unknown else "'max-increase' is empty",
            "max-increase",
            hint='max-increase = "2 KiB", or { arena = "2 KiB", flash = "5 %" }',
        )
    arena, flash = (
        _increase(stated[key], f"max-increase.{key}") if key in stated else None for key in ("arena", "flash")
    )
    return arena, flash


def _increase(value: object, name: str) -> Increase:
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent:
        return Increase(percent=float(percent[1]))
    try:
        return Increase(size_bytes=sizes.parse(value))
    except UsageError as error:
        hint = 'write bytes, or "2 KiB", or "5 %"'
        raise KeyProblem(f"'{name}': {error.message}", "max-increase", hint=hint) from error


def _names(value: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    names = value.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise KeyProblem(f"'{key}' has to be a list of names, not {names!r}", key, hint=f'{key} = ["CONV_2D", "ADD"]')
    return tuple(dict.fromkeys(names))


def _share(value: Mapping[str, Any]) -> float:
    share = value.get("warn-at", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise KeyProblem(f"'warn-at' has to be a share between 0 and 1, not {share!r}", "warn-at")
    return float(share)


def _flag(value: Mapping[str, Any], key: str) -> bool:
    flag = value.get(key, False)
    if not isinstance(flag, bool):
        raise KeyProblem(f"'{key}' has to be true or false, not {flag!r}", key)
    return flag
