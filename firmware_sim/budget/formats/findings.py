"""What the formats for code quality tools list: one finding for each limit that is not plainly met."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from firmware_sim.budget.evaluation import Outcome, Unreadable, key_of
from firmware_sim.budget.formats.words import Grade, error_text, limit_grade, limit_text, path_of
from firmware_sim.budget.verdict import Limit, Verdict
from firmware_sim.records import Record
from firmware_sim.report.labels import printable

RULES: Final = {
    "arena": "The arena is larger than the budget allows.",
    "flash": "The model file is larger than the budget allows.",
    "board": "The model does not fit the board.",
    "region": "The model takes more of a memory region than the budget allows.",
    "arena-increase": "The arena has grown more than the budget allows.",
    "flash-increase": "The model file has grown more than the budget allows.",
    "operators": "The model has an operator that the budget does not allow.",
    "runs": "TensorFlow Lite Micro does not take the model, or may not.",
    "plan": "The model's own memory plan is gone, or makes its outputs wrong with these kernels.",
    "exact": "The figures of the model are not exact.",
    "unreadable": "The model cannot be read, or TensorFlow Lite Micro refuses it.",
}
"""What may be found, by the kind of limit, in one sentence."""


class Finding(Record):
    """One finding. `fingerprint` stays the same while budget, model, profile and rule do, whatever the figures are."""

    result: Verdict | Unreadable
    rule: str
    grade: Grade
    text: str
    fingerprint: str
    limit: Limit | None = None


def findings(outcome: Outcome) -> Iterator[Finding]:
    """All findings, in the order of the results."""
    for result in outcome.results:
        model = printable(path_of(result))
        if isinstance(result, Unreadable):
            text = f"{printable(result.budget.name)}: {error_text(result)}"
            yield Finding(result, "unreadable", "error", text, _fingerprint(result, "unreadable"))
            continue
        for limit in result.limits:
            grade = limit_grade(result, limit.status)
            if grade == "none":
                continue
            text = (
                f"{printable(result.budget.name)}: {model} for {printable(result.budget.target)}: {limit_text(limit)}"
            )
            yield Finding(result, limit.kind, grade, text, _fingerprint(result, limit.kind, limit.what), limit)


def _fingerprint(result: Verdict | Unreadable, *rule: str) -> str:
    key = key_of(result)
    parts = (key.budget, key.model, key.profile, *rule)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
