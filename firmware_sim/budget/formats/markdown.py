"""The format `markdown`: a table for a pull request, with what failed folded away below it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.text import explanation_lines
from firmware_sim.budget.formats.words import path_of, summary, word
from firmware_sim.budget.verdict import Limit, Status, Verdict
from firmware_sim.report import Style
from firmware_sim.report.labels import printable, shorten
from firmware_sim.report.markdown import plain, table
from firmware_sim.sizes import describe

_MARKS: Final = {"PASS": "✅", "WARN": "⚠️", "FAIL": "❌", "ERROR": "❌"}
_HEADER: Final = ("verdict", "budget", "model", "for", "what", "note", "used", "limit", "margin")
_WORDS: Final = 6
_NAME_WIDTH: Final = 60
_NOTE_WIDTH: Final = 300


def render(outcome: Outcome, context: FormatContext) -> str:
    """The table, and what failed."""
    return page(outcome)


def page(outcome: Outcome, *, most_rows: int | None = None, details: bool = True) -> str:
    """The page, with at most so many rows of the table, and with or without what failed."""
    rows = [row for result in outcome.results for row in _rows(result)]
    parts = [f"### Size budgets: {summary(outcome)}"]
    if rows:
        parts.append(table(_HEADER, rows[:most_rows], left=_WORDS))
    if most_rows is not None and rows[most_rows:]:
        parts.append(f"{len(rows) - most_rows} more rows are left out.")
    parts += [f"> {plain(note)}" for note in outcome.notes]
    if details:
        parts += [_details(result) for result in outcome.results if _is_explained(result)]
    return "\n\n".join(parts)


def _rows(result: Verdict | Unreadable) -> Iterator[tuple[str, ...]]:
    budget = result.budget
    names = (plain(budget.name), plain(shorten(path_of(result), _NAME_WIDTH)))
    if isinstance(result, Unreadable):
        first = str(result.error).splitlines()[0]
        yield (_mark(word(result), budget.informational), *names, "", "", _note(first), "", "", "")
        return
    where = plain(budget.target)
    for limit in result.limits:
        mark = _mark(limit.status.value, budget.informational and limit.status is Status.FAIL)
        yield (mark, *names, where, plain(limit.what), _note(limit.note), *_figures(limit))
    if not result.limits:
        yield (_mark(word(result), False), *names, where, "", "", "", "", "")


def _figures(limit: Limit) -> tuple[str, str, str]:
    margin = limit.margin_bytes
    if limit.used_bytes is None or limit.limit_bytes is None or margin is None:
        return "", "", ""
    percent = "" if limit.margin_percent is None else f", {limit.margin_percent:+.1f} %"
    return describe(limit.used_bytes), describe(limit.limit_bytes), f"{margin:+,}{percent}"


def _mark(name: str, is_informational: bool) -> str:
    return f"{_MARKS[name]} {name}{' (informational)' if is_informational else ''}"


def _note(text: str) -> str:
    return plain(text if len(text) <= _NOTE_WIDTH else f"{text[:_NOTE_WIDTH]} ...")


def _is_explained(result: Verdict | Unreadable) -> bool:
    return isinstance(result, Unreadable) or result.status is Status.FAIL


def _details(result: Verdict | Unreadable) -> str:
    lines = str(result.error).splitlines() if isinstance(result, Unreadable) else explanation_lines(result, Style())
    # In a code block a name could end the block; in <pre> it is text.
    content = "\n".join(map(_html, lines))
    title = _html(f"{word(result)} {result.budget.name}: {path_of(result)}").replace("@", "&#64;")
    return f"<details>\n<summary>{title}</summary>\n\n<pre>\n{content}\n</pre>\n\n</details>"


def _html(text: str) -> str:
    return escape(printable(text), quote=False)
