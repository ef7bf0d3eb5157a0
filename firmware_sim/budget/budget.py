"""What a budget is, and the keys that state it in a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_sim import sizes
from firmware_sim.errors import UsageError


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on the models that a pattern names.

    Attributes:
        name: what it is called in verdicts.
        model: path or glob, relative to `folder`.
        folder: where the configuration file is.
        target: id of a board, or of a profile, that the figures are for; a board also has to hold the model.
        arena_bytes: most that the arena may take; None for no limit.
        flash_bytes: most that the model file may take; None for no limit.
        warn_at: share of a limit, 0 to 1, above which a model that meets it is warned about.
        informational: never fails a check.
    """

    name: str
    model: str
    folder: Path = Path()
    target: str = "host64"
    arena_bytes: int | None = None
    flash_bytes: int | None = None
    warn_at: float = 1.0
    informational: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether `model` is a glob and not the path of one file."""
        return any(character in self.model for character in "*?[")


def parse(name: str, value: Mapping[str, Any], folder: Path) -> Budget:
    """A budget from one `[[budget]]` table whose keys are known to be right.

    Raises:
        UsageError: a value makes no sense, or nothing is limited.
    """
    if "target" in value and "profile" in value:
        raise UsageError("'target' and 'profile' exclude each other", hint="a target names its profile")
    model = _text(value, "model")
    if model is None:
        raise UsageError("'model' is missing", hint='model = "build/net.tflite", or a glob such as "build/*.tflite"')
    target = _named(value)
    arena, flash = _size(value, "arena"), _size(value, "flash")
    budget = Budget(
        name=name,
        model=model,
        folder=folder,
        target=target or "host64",
        arena_bytes=arena,
        flash_bytes=flash,
        warn_at=_share(value),
        informational=_flag(value, "informational"),
    )
    if arena is None and flash is None and not _is_board(budget.target):
        raise UsageError("nothing is limited", hint="give 'arena', 'flash', or a board as 'target'")
    return budget


def _text(value: Mapping[str, Any], key: str) -> str | None:
    text = value.get(key)
    if text is not None and (not isinstance(text, str) or not text.strip()):
        raise UsageError(f"'{key}' has to be text, not {text!r}")
    return text


def _named(value: Mapping[str, Any]) -> str | None:
    from firmware_sim import profiles, targets

    profile = _text(value, "profile")
    if profile is not None:
        return profiles.get(profile).id
    target = _text(value, "target")
    if target is not None:
        targets.resolve(target)
    return target


def _is_board(name: str) -> bool:
    from firmware_sim import targets

    return targets.resolve(name)[1] is not None


def _size(value: Mapping[str, Any], key: str) -> int | None:
    if key not in value:
        return None
    try:
        return sizes.parse(value[key])
    except UsageError as error:
        raise UsageError(f"'{key}': {error.message}", hint=error.hint) from error


def _share(value: Mapping[str, Any]) -> float:
    share = value.get("warn-at", 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
        raise UsageError(f"'warn-at' has to be a share between 0 and 1, not {share!r}")
    return float(share)


def _flag(value: Mapping[str, Any], key: str) -> bool:
    flag = value.get(key, False)
    if not isinstance(flag, bool):
        raise UsageError(f"'{key}' has to be true or false, not {flag!r}")
    return flag
