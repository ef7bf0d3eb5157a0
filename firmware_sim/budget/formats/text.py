"""The format `text`: for a terminal or a log."""

from __future__ import annotations

import textwrap
from typing import Final

from firmware_sim.budget.advice import advise
from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.words import limit_figures, mover_text, remedy_text, summary, word
from firmware_sim.budget.verdict import Limit, Status, Verdict
from firmware_sim.report import Style
from firmware_sim.report.text import paint, peak_tables, printable

_COLOURS: Final = {"PASS": "32", "WARN": "33", "FAIL": "31", "ERROR": "31"}
_INDENT: Final = " " * 6


def render(outcome: Outcome, context: FormatContext) -> str:
    """Every result with its limits; of what fails the peak, what is alive there, what moved, and what would help."""
    style = context.style
    lines = [line for result in outcome.results for line in result_lines(result, style)]
    for note in outcome.notes:
        lines += _wrapped(f"note: {printable(note)}", style.width, indent=_INDENT)
    return "\n".join([*lines, "", summary(outcome)])


def result_lines(result: Verdict | Unreadable, style: Style) -> list[str]:
    """One result: a line with the verdict, then indented what there is to say."""
    mark = paint(f"{word(result):<5}", _COLOURS[word(result)], style)
    suffix = " (informational)" if result.budget.informational else ""
    head = f"{mark} {printable(result.budget.name)}{suffix}"
    if isinstance(result, Unreadable):
        # The message starts with the path.
        return [head, *(f"{_INDENT}{printable(line)}" for line in str(result.error).splitlines())]
    lines = [f"{head}  {printable(result.report.model.path)}  {result.report.profile.id}"]
    for limit in result.limits:
        lines += _limit_lines(limit, style)
    return lines + explanation_lines(result, style)


def explanation_lines(verdict: Verdict, style: Style) -> list[str]:
    """The peak, the movers and the remedies of a FAIL; nothing of anything else."""
    if verdict.status is not Status.FAIL:
        return []
    advice = advise(verdict)
    width = style.width - len(_INDENT)
    lines = peak_tables(verdict.report, width)
    if advice.movers:
        lines.append("against the baseline, most changed")
        lines += _items([mover_text(mover) for mover in advice.movers], width)
    if advice.remedies:
        lines.append("what would help")
        lines += _items([remedy_text(remedy) for remedy in advice.remedies], width)
    return [f"{_INDENT}{line}" for line in lines]


def _items(texts: list[str], width: int) -> list[str]:
    return [line for text in texts for line in _wrapped(f"  - {text}", width, indent="    ")]


def _limit_lines(limit: Limit, style: Style) -> list[str]:
    text = f"{limit.what:<13} {limit_figures(limit)}"
    if limit.note and limit.used_bytes is not None:
        text += f"; {limit.status.value.lower()}: {printable(limit.note)}"
    return _wrapped(f"{_INDENT}{text}", style.width, indent=f"{_INDENT}    ")


def _wrapped(text: str, width: int, *, indent: str) -> list[str]:
    # Options such as --update-baseline stay whole, for they are to be copied.
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
