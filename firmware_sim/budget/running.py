"""Whether TFLM takes a model: by the rules that are known, and in TFLM itself where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_sim import preflight, profiles
from firmware_sim.budget.budget import Budget
from firmware_sim.budget.verdict import Limit, Status
from firmware_sim.errors import UsageError
from firmware_sim.model import Model
from firmware_sim.profiles import Profile

_WHAT: Final = "runs in TFLM"
_MOST_NAMED: Final = 3

Judge = Callable[[], str | None]
"""Runs the model in TFLM; gives why TFLM refuses it, None if it does not. Raises UsageError where there is no TFLM."""


def running(budget: Budget, model: Model, profile: Profile, judge: Judge) -> tuple[Limit, ...]:
    """What is to be said of a model that no certain rule refuses (with one that does, there is no report at all).

    Rules that were only read in TFLM's sources make a WARN, and with `runs = true` a FAIL, unless TFLM itself, built as
    the profile says, takes the model.
    """
    doubts = [str(refusal) for refusal in preflight.refusals(model, profile) if not refusal.certain]
    named = "; ".join(doubts[:_MOST_NAMED]) + (
        f"; and {len(doubts) - _MOST_NAMED} more" if doubts[_MOST_NAMED:] else ""
    )
    if not budget.runs:
        note = f"TFLM may refuse it: {named}"
        return (Limit("runs", _WHAT, Status.WARN, note=note),) if doubts else ()
    try:
        refused = judge()
    except UsageError as error:
        note = f"judged by rules alone, since it could not be run: {error.message}"
        return (_judged(Status.FAIL if doubts else Status.PASS, named, note),)
    if refused is not None:
        return (Limit("runs", _WHAT, Status.FAIL, note=f"TFLM on this machine refuses it: {refused}"),)
    if profile.id == profiles.DEFAULT:
        return (_judged(Status.WARN if doubts else Status.PASS, named, "it was run in TFLM"),)
    note = f"it was run in TFLM on this machine ({profiles.DEFAULT}); for {profile.id} it was judged by rules alone"
    return (_judged(Status.FAIL if doubts else Status.PASS, named, note),)


def _judged(status: Status, doubts: str, note: str) -> Limit:
    return Limit("runs", _WHAT, status, note=f"TFLM may refuse it: {doubts}; {note}" if doubts else note)
