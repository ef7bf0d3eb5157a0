"""Every model of every budget, measured and judged."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.accounting import MemoryReport, memreport
from firmware_sim.budget.budget import Budget
from firmware_sim.budget.verdict import Verdict, check
from firmware_sim.errors import BudgetExceeded, FileError, UsageError
from firmware_sim.model import read
from firmware_sim.targets import resolve


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A model that could not be measured, and why."""

    budget: Budget
    path: str
    error: FileError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found, in the order of the budgets."""

    results: tuple[Verdict | Unreadable, ...]

    @property
    def exit_code(self) -> int:
        """3 if a model could not be read, else 1 if a budget is exceeded, else 0."""
        if any(isinstance(result, Unreadable) for result in self.results):
            return FileError.exit_code
        exceeded = any(isinstance(result, Verdict) and result.exceeded for result in self.results)
        return BudgetExceeded.exit_code if exceeded else 0


def models(budget: Budget) -> tuple[Path, ...]:
    """The files that a budget is for, sorted.

    Raises:
        UsageError: its model is a glob that matches nothing. A plain path is taken as it is.
    """
    if not budget.is_pattern:
        return (budget.folder / budget.model,)
    # Plain glob and not Path.glob: only it takes absolute patterns.
    found = glob.glob(str(Path(glob.escape(str(budget.folder))) / budget.model), recursive=True)
    paths = tuple(sorted(Path(name) for name in found if Path(name).is_file()))
    if not paths:
        raise UsageError(
            f"'{budget.model}' matches no file",
            where=f"budget '{budget.name}'",
            hint=f"patterns are relative to {budget.folder.absolute()}",
        )
    return paths


def evaluate(budgets: Iterable[Budget]) -> Outcome:
    """Measure the models of all budgets and judge them; a model that cannot be read does not stop the others.

    Raises:
        UsageError: a glob matches nothing; said before anything is measured.
    """
    work = [(budget, path) for budget in budgets for path in models(budget)]
    measured: dict[tuple[Path, str], MemoryReport | FileError] = {}
    results: list[Verdict | Unreadable] = []
    for budget, path in work:
        key = (path, budget.target)
        if key not in measured:
            measured[key] = _measure(path, budget.target)
        report = measured[key]
        if isinstance(report, FileError):
            results.append(Unreadable(budget, str(path), report))
        else:
            results.append(check(budget, report))
    return Outcome(tuple(results))


def _measure(path: Path, name: str) -> MemoryReport | FileError:
    profile, target = resolve(name)
    try:
        return memreport(read(path), profile=profile, target=target)
    except FileError as error:
        return error
