"""A pytest plug-in: the fixture `size_budget` asserts size budgets. It is there wherever sapool is installed.

def test_the_net_fits(size_budget):
    size_budget("build/net.tflite", target="stm32f446re", arena="96 KiB", flash="320 KiB")

def test_the_budgets_of_the_project(size_budget):
    size_budget.configured()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from firmware_sim.budget import Outcome


class SizeBudget:
    """Asserts size budgets; a call that fails shows what `sapool check` prints.

    Args:
        folder: what paths are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, model: str | Path, **keys: Any) -> Outcome:
        """Assert one budget.

        Args:
            model: path or glob of .tflite files, relative to the root of the tests.
            keys: those of a `[[budget]]` table, with underscores: `warn_at=0.9`.

        Returns:
            What was found; one result for each model.

        Raises:
            UsageError: a key that does not exist, a value that makes no sense, or a glob that matches nothing.
        """
        from firmware_sim.budget import evaluate, state
        from sapool.errors import UsageError

        table = {"name": str(model), "model": str(model), **{key.replace("_", "-"): keys[key] for key in keys}}
        if "max-increase" in table:
            raise UsageError(
                "growth is judged against a baseline, which a single budget in a test has not",
                hint="state the budget in sapool.toml, and call size_budget.configured()",
            )
        return self._judged(evaluate([state(table, self._folder)]))

    def configured(self, *names: str, config: str | Path | None = None) -> Outcome:
        """Assert budgets of a configuration.

        Args:
            names: the budgets; all of them by default.
            config: the file, relative to the root of the tests; sapool.toml or pyproject.toml there by default.

        Raises:
            UsageError: the configuration makes no sense, or has no budget of that name.
            FileError: the baseline cannot be read.
        """
        from firmware_sim.budget import Baseline, baseline, evaluate, find, load
        from sapool.errors import UsageError

        stated = load(find(self._folder) if config is None else self._folder / config)
        known = {budget.name: budget for budget in stated.budgets}
        for name in names:
            if name not in known:
                raise UsageError(f"no budget '{name}'", where=stated.path, hint=f"budgets: {', '.join(known)}")
        before = baseline.load(stated.baseline)
        if not names:
            return self._judged(evaluate(stated.budgets, before))
        # What the baseline has of the other budgets is not out of date.
        entries = {key: before.entries[key] for key in before.entries if key.budget in names}
        return self._judged(evaluate([known[name] for name in names], Baseline(before.path, entries, before.exists)))

    def _judged(self, outcome: Outcome) -> Outcome:
        from firmware_sim.budget import render

        if outcome.exit_code:
            pytest.fail(render(outcome, "text"), pytrace=False)
        return outcome


@pytest.fixture
def size_budget(pytestconfig: pytest.Config) -> SizeBudget:
    """Asserts size budgets of .tflite files; see `sapool.pytest_plugin`."""
    return SizeBudget(pytestconfig.rootpath)
