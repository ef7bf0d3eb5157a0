"""The format `github`: the text, then annotations for GitHub Actions; and the page for the summary of a step.

Workflow commands: docs.github.com, "Workflow commands for GitHub Actions". A step shows at most 10 annotations of a kind,
and takes a summary of at most 1 MiB; what is beyond that is dropped without a word.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware_sim.budget.budget import Budget
from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.formats import markdown, text
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.words import error_text, grade, limit_text, location, path_of, word
from firmware_sim.budget.verdict import Status, Verdict
from firmware_sim.report import Style
from firmware_sim.report.labels import printable

MOST_ANNOTATIONS: Final = 10
MOST_SUMMARY_BYTES: Final = 1024**2
_MOST_NAMED: Final = 5
_COMMANDS: Final = {"error": "error", "warning": "warning", "note": "notice"}


def render(outcome: Outcome, context: FormatContext) -> str:
    """The text, in which the runner is told to see no commands, and at most one annotation for each budget."""
    # A tensor may be called "::error::"; nobody can guess the word that ends this.
    token = secrets.token_hex(16)
    content = text.render(outcome, FormatContext(Style(context.style.width), context.root))
    return "\n".join([f"::stop-commands::{token}", content, f"::{token}::", *commands(outcome, context.root)])


def commands(outcome: Outcome, root: Path) -> list[str]:
    """One command for each budget that is not met by all of its models, the worst first, at most as many as are shown."""
    groups: dict[str, list[Verdict | Unreadable]] = {}
    for result in outcome.results:
        groups.setdefault(result.budget.name, []).append(result)
    order = list(_COMMANDS)
    graded = [(min(order.index(grade(result)) for result in bad), bad) for bad in map(_bad, groups.values()) if bad]
    graded.sort(key=lambda entry: entry[0])
    shown = graded if len(graded) <= MOST_ANNOTATIONS else graded[: MOST_ANNOTATIONS - 1]
    lines = [_annotation(_COMMANDS[order[level]], results, root) for level, results in shown]
    if graded[len(shown) :]:
        level = graded[len(shown)][0]
        left = len(graded) - len(shown)
        lines.append(
            f"::{_COMMANDS[order[level]]} title=Size budgets::{left} more budgets are not met; the log has them"
        )
    return lines


def step_summary(outcome: Outcome, used_bytes: int = 0) -> str:
    """The page for GITHUB_STEP_SUMMARY, as much of it as fits beside the `used_bytes` that are there already."""
    room = MOST_SUMMARY_BYTES - used_bytes
    rows = sum(max(1, len(getattr(result, "limits", ()))) for result in outcome.results)
    for content in (markdown.page(outcome), markdown.page(outcome, details=False)):
        if len(content.encode("utf-8", "replace")) + 1 <= room:
            return f"{content}\n"
    while rows:
        rows //= 2
        content = markdown.page(outcome, most_rows=rows, details=False)
        if len(content.encode("utf-8", "replace")) + 1 <= room:
            return f"{content}\n"
    return ""


def _bad(results: Sequence[Verdict | Unreadable]) -> list[Verdict | Unreadable]:
    return [result for result in results if grade(result) != "none"]


def _annotation(command: str, results: list[Verdict | Unreadable], root: Path) -> str:
    budget: Budget = results[0].budget
    worst = sorted(results, key=lambda result: list(_COMMANDS).index(grade(result)))
    lines = [_sentence(result) for result in worst[:_MOST_NAMED]]
    if worst[_MOST_NAMED:]:
        lines.append(f"and {len(worst) - _MOST_NAMED} more models; the log has them")
    properties = {"title": f"Size budget {printable(budget.name)}: {word(worst[0])}"}
    place = location(budget, root)
    if place is not None:
        properties = {"file": printable(place.path), "line": str(place.line), **properties}
    stated = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = "\n".join(lines)
    return f"::{command} {stated}::{_data(message)}"


def _sentence(result: Verdict | Unreadable) -> str:
    if isinstance(result, Unreadable):
        return error_text(result)
    limits = [limit for limit in result.limits if limit.status is not Status.PASS]
    return f"{printable(path_of(result))}: {'. '.join(limit_text(limit) for limit in limits)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
