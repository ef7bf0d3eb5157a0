"""What a budget is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from firmware_sim import profiles, sizes, targets
from firmware_sim.records import Record


class Place(Record):
    """Where a budget is stated: a file and a line of it, counted from 1."""

    path: Path
    line: int = 1


class Increase(Record):
    """How much a figure may grow against the baseline: so many bytes, or a share of what it was in percent."""

    size_bytes: int | None = None
    percent: float | None = None

    def allowed_bytes(self, before_bytes: int) -> int:
        """The growth in bytes that a figure of `before_bytes` may have."""
        if self.size_bytes is not None:
            return self.size_bytes
        return sizes.share_bytes(before_bytes, self.percent or 0) // 100


class Budget(Record):
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
        regions: most that the model may take of a memory region of the board, by the region's name.
        arena_increase: how much the arena may grow against the baseline; None for as much as it likes.
        flash_increase: likewise for the model file.
        allow_ops: operators that a model may have, custom ones by their custom code; None for any.
        runs: TFLM has to take the model.
        exact: figures that are not exact fail.
        place: where it is stated; None for a budget that no file states.
        board: a board of the user's own, whose id `target` is; None for one that sapool knows, or a profile.
        reserve: RAM and flash that the application needs beside the model on a board; None for the usual one.
    """

    name: str
    model: str
    folder: Path = Path()
    target: str = "host64"
    arena_bytes: int | None = None
    flash_bytes: int | None = None
    warn_at: float = 1.0
    informational: bool = False
    regions: Mapping[str, int] = {}
    arena_increase: Increase | None = None
    flash_increase: Increase | None = None
    allow_ops: tuple[str, ...] | None = None
    runs: bool = False
    exact: bool = False
    place: Place | None = None
    board: targets.Target | None = None
    reserve: targets.Reserve | None = None

    def resolved(self) -> tuple[profiles.Profile, targets.Target | None]:
        """The profile to account for, and the board that has to hold the model, None if the target is a profile.

        Raises:
            UsageError: there is no such target.
        """
        if self.board is not None:
            return profiles.get(self.board.profile), self.board
        return targets.resolve(self.target)

    @property
    def is_pattern(self) -> bool:
        """Whether `model` is a glob and not the path of one file."""
        return any(character in self.model for character in "*?[")

    @property
    def limits_growth(self) -> bool:
        """Whether it needs a baseline."""
        return self.arena_increase is not None or self.flash_increase is not None

    @property
    def states_a_limit(self) -> bool:
        """Whether it asks for anything, apart from what a board as target asks for."""
        sizes = (self.arena_bytes, self.flash_bytes, self.allow_ops)
        return any(size is not None for size in sizes) or bool(self.regions) or self.limits_growth or self.runs
