"""Every model of every budget, measured and judged."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from firmware_sim.accounting import MemoryReport, memreport
from firmware_sim.budget.baseline import Baseline, Key
from firmware_sim.budget.budget import Budget
from firmware_sim.budget.running import running
from firmware_sim.budget.shrinking import with_shrinking
from firmware_sim.budget.verdict import Limit, Status, Verdict, check
from firmware_sim.errors import BudgetExceeded, FileError, UsageError
from firmware_sim.model import Model, read
from firmware_sim.overlap.standing import standing
from firmware_sim.profiles import Profile
from firmware_sim.records import Record
from firmware_sim.report.diff import Measured, from_report
from firmware_sim.targets import Reserve


class Unreadable(Record):
    """A model that could not be measured, and why. `profile` is what it was to be measured for."""

    budget: Budget
    path: str
    error: FileError
    profile: str = ""


class Outcome(Record):
    """What a check found, in the order of the budgets.

    Attributes:
        results: one for each model of each budget.
        notes: sentences about the check as a whole.
    """

    results: tuple[Verdict | Unreadable, ...]
    notes: tuple[str, ...] = ()

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
        place = f"{budget.place.path}:{budget.place.line}: " if budget.place else ""
        raise UsageError(
            f"'{budget.model}' matches no file",
            where=f"{place}budget '{budget.name}'",
            hint=f"patterns are relative to {budget.folder.absolute()}",
        )
    return paths


def evaluate(budgets: Iterable[Budget], baseline: Baseline | None = None, *, accept: bool = False) -> Outcome:
    """Measure the models of all budgets and judge them; a model that cannot be read does not stop the others.

    Args:
        budgets: what to judge by.
        baseline: what growth is judged against; without one, growth is not judged.
        accept: the present figures are to become the baseline (see `updated`), so growth does not count.

    Raises:
        UsageError: a glob matches nothing; said before anything is measured.
    """
    budgets = tuple(budgets)
    work = [(budget, path) for budget in budgets for path in models(budget)]
    bench = _Bench()
    results = tuple(bench.judge(budget, path, baseline, accept) for budget, path in work)
    return Outcome(results, _notes(budgets, results, baseline, accept))


def updated(outcome: Outcome, baseline: Baseline) -> dict[Key, Measured]:
    """The entries of a baseline with the present figures; those of models that could not be read stay as they are."""
    entries: dict[Key, Measured] = {}
    for result in outcome.results:
        key = key_of(result)
        if isinstance(result, Verdict):
            entries[key] = from_report(result.report)
        elif key in baseline.entries:
            entries[key] = baseline.entries[key]
    return entries


def key_of(result: Verdict | Unreadable) -> Key:
    """Where the baseline has the figures of a result."""
    if isinstance(result, Verdict):
        return _key(result.budget, result.report.model.path, result.report.profile.id)
    return _key(result.budget, result.path, result.profile)


def _key(budget: Budget, path: str, profile: str) -> Key:
    return Key(budget.name, Path(os.path.relpath(path, budget.folder)).as_posix(), profile)


@dataclass(slots=True)
class _Bench:
    """Measures each model once for each target and reserve, and asks TFLM once for each model."""

    measured: dict[tuple[Path, str, int, Reserve | None], tuple[Model, MemoryReport] | FileError] = field(
        default_factory=dict
    )
    refusals: dict[str, str | None] = field(default_factory=dict)

    def judge(self, budget: Budget, path: Path, baseline: Baseline | None, accept: bool) -> Verdict | Unreadable:
        profile, _ = budget.resolved()
        found = self._measure(path, budget)
        if isinstance(found, FileError):
            return Unreadable(budget, str(path), found, profile.id)
        model, report = found
        before = baseline.entries.get(_key(budget, str(path), profile.id)) if baseline else None
        more = (*running(budget, model, profile, lambda: self._refused(path, model)), *_plan(model, profile))
        return with_shrinking(check(budget, report, before=before, accept=accept, more=more), path)

    def _measure(self, path: Path, budget: Budget) -> tuple[Model, MemoryReport] | FileError:
        # Boards of the user's own are compared by identity: two files may call different ones alike.
        key = path, budget.target, id(budget.board), budget.reserve
        if key not in self.measured:
            profile, target = budget.resolved()
            try:
                model = read(path)
                report = memreport(model, profile=profile, target=target, reserve=budget.reserve)
                self.measured[key] = model, report
            except FileError as error:
                self.measured[key] = error
        return self.measured[key]

    def _refused(self, path: Path, model: Model) -> str | None:
        from firmware_sim.run.tflm import refused

        if model.sha256 not in self.refusals:
            self.refusals[model.sha256] = refused(path.read_bytes())
        return self.refusals[model.sha256]


def _plan(model: Model, profile: Profile) -> tuple[Limit, ...]:
    """Outputs that are wrong with the budget's kernels, or a plan that was dropped, are worse than too many bytes."""
    found = standing(model, profile)
    if found is None:
        return ()
    return (Limit("plan", "memory plan", Status.PASS if found.holds else Status.FAIL, note=found.text),)


def _notes(
    budgets: tuple[Budget, ...], results: tuple[Verdict | Unreadable, ...], baseline: Baseline | None, accept: bool
) -> tuple[str, ...]:
    if baseline is None or accept:
        return ()
    if not baseline.exists:
        growing = any(budget.limits_growth for budget in budgets)
        text = (
            f"there is no baseline {baseline.path}, so growth is not judged; 'sapool check --update-baseline' writes it"
        )
        return (text,) if growing else ()
    stale = len(baseline.entries.keys() - {key_of(result) for result in results})
    if not stale:
        return ()
    return (
        f"{stale} of {len(baseline.entries)} entries of {baseline.path} are of no model of this check; "
        "'sapool check --update-baseline' drops them",
    )
