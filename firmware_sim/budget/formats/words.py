"""What the formats share: how a result stands, and what is said of it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final, Literal

from firmware_sim.budget.advice import Mover, Remedy
from firmware_sim.budget.budget import Budget
from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.verdict import Limit, Status, Verdict
from firmware_sim.records import Record
from firmware_sim.report.diff.words import position, signed
from firmware_sim.report.labels import printable, shorten

ERROR: Final = "ERROR"
Grade = Literal["error", "warning", "note", "none"]

_NAME_WIDTH: Final = 48
_MOST_REASONS: Final = 4
_FIGURES: Final = {"live_bytes": "alive", "persistent_bytes": "persistent", "weight_bytes": "of constants"}


def word(result: Verdict | Unreadable) -> str:
    """PASS, WARN, FAIL, or ERROR for a model that could not be read."""
    return ERROR if isinstance(result, Unreadable) else result.status.value


def path_of(result: Verdict | Unreadable) -> str:
    """The model."""
    return result.path if isinstance(result, Unreadable) else result.report.model.path


def grade(result: Verdict | Unreadable) -> Grade:
    """How bad it is: "error" for what decides the exit code, "note" for a FAIL that is informational."""
    if isinstance(result, Unreadable):
        return "error"
    return limit_grade(result, result.status)


def limit_grade(verdict: Verdict, status: Status) -> Grade:
    """How bad one limit of a verdict is."""
    if status is Status.FAIL:
        return "note" if verdict.budget.informational else "error"
    return "warning" if status is Status.WARN else "none"


def error_text(result: Unreadable) -> str:
    """Why a model could not be read, in one sentence; of many reasons the first ones."""
    lines = [printable(line.strip()) for line in str(result.error).splitlines()]
    more = [f"and {len(lines) - _MOST_REASONS} more lines"] if lines[_MOST_REASONS:] else []
    return "; ".join(lines[:_MOST_REASONS] + more)


def limit_text(limit: Limit) -> str:
    """A limit in one sentence, with sizes in bytes and KiB."""
    text = f"{limit.what} {limit_figures(limit)}".rstrip()
    return f"{text}; {printable(limit.note)}" if limit.note and limit.used_bytes is not None else text


def limit_figures(limit: Limit) -> str:
    """What comes after the name of the limit: the figures, or the note where there are none."""
    margin = limit.margin_bytes
    if limit.used_bytes is None or limit.limit_bytes is None or margin is None:
        return printable(limit.note) or limit.status.value.lower()
    left = f"{margin:,} bytes left" if margin >= 0 else f"{-margin:,} bytes too much"
    percent = "" if limit.margin_percent is None else f", {limit.margin_percent:+.1f} %"
    kib = f"{limit.used_bytes / 1024:,.1f} of {limit.limit_bytes / 1024:,.1f} KiB"
    sign = "+" if limit.kind.endswith("increase") else ""
    return f"{limit.used_bytes:{sign},} of {limit.limit_bytes:{sign},} bytes ({kib}): {left}{percent}"


def mover_text(mover: Mover) -> str:
    """A mover in one sentence."""
    change = mover.change
    kind = "" if change.kind in ("same", "changed") else f" ({change.kind})"
    return (
        f"{signed(mover.change_bytes)} bytes {_FIGURES[mover.figure]}: layer {position(change)} "
        f"{printable(change.layer.op)} {shorten(change.layer.name, _NAME_WIDTH)}{kind}"
    )


def remedy_text(remedy: Remedy) -> str:
    """A remedy, marked as what it is."""
    return f"{'(estimate) ' if remedy.is_estimate else ''}{printable(remedy.text)}"


def summary(outcome: Outcome) -> str:
    """How many results there are of each kind."""
    counts = Counter(word(result) for result in outcome.results)
    parts = [f"{counts[name]} {name}" for name in (*(status.value for status in Status), ERROR) if counts[name]]
    return f"{len(outcome.results)} checked: {', '.join(parts) or 'nothing'}"


class Location(Record):
    """A line of a file; the path is relative to the repository and has forward slashes."""

    path: str
    line: int


def location(budget: Budget, root: Path) -> Location | None:
    """Where a budget is stated; None if no file states it."""
    if budget.place is None:
        return None
    path = Path(os.path.abspath(budget.place.path))
    base = Path(os.path.abspath(root))
    inside = path.relative_to(base) if path.is_relative_to(base) else path
    return Location(inside.as_posix(), budget.place.line)
