"""Candidates of a search, trained briefly and ranked by what they learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapool.compress.front import Candidate

if TYPE_CHECKING:
    from sapool.data import DataSet
    from sapool.training.config import FitConfig


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate after a short training: the accuracy of its best epoch on the validation part, as a share of 1."""

    candidate: Candidate
    val_accuracy: float
    epochs: int


def rank(
    candidates: Sequence[Candidate],
    open_data: Callable[[int], DataSet],
    config: FitConfig,
    *,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Ranked, ...]:
    """Train each candidate with one recipe, and sort them by validation accuracy, best first.

    The test part is not looked at: the choice between candidates is made here.

    Args:
        candidates: what to train.
        open_data: gives the data at a resolution.
        config: the recipe.
        progress: told how many candidates are trained, and which share of them that is.
    """
    from sapool.training.fitting import fit

    ranked = []
    for number, candidate in enumerate(candidates):
        if progress is not None:
            progress(number, number / len(candidates))
        dataset = open_data(candidate.spec.resolution)
        result = fit(candidate.spec.with_settings(classes=len(dataset.classes)), dataset, config)
        ranked.append(Ranked(candidate, result.best.val_accuracy, config.epochs))
    return tuple(sorted(ranked, key=lambda each: (-each.val_accuracy, each.candidate.arena_bytes)))
