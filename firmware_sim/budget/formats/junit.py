"""The format `junit`: a test case for each model of each budget, as Jenkins, GitLab and others read it.

The form is that of Jenkins' xUnit plug-in (junit-10.xsd). A FAIL is a failure, a model that cannot be read an error, and a
FAIL that is informational counts as skipped, the only kind that is shown and does not fail.
"""

from __future__ import annotations

from collections import Counter
from html import escape

from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.text import result_lines
from firmware_sim.budget.formats.words import grade, limit_text, path_of
from firmware_sim.budget.verdict import Status, Verdict
from firmware_sim.report import Style
from firmware_sim.report.labels import printable


def render(outcome: Outcome, context: FormatContext) -> str:
    """The document."""
    grades = Counter((type(result), grade(result)) for result in outcome.results)
    counts = {
        "tests": len(outcome.results),
        "failures": grades[Verdict, "error"],
        "errors": grades[Unreadable, "error"],
    }
    suite = {**counts, "skipped": grades[Verdict, "note"]}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="sapool check"{_attributes(counts)}>',
        f'<testsuite name="size budgets"{_attributes(suite)}>',
    ]
    if outcome.notes:
        lines += [
            "<properties>",
            *(_element("property", name="note", value=note) for note in outcome.notes),
            "</properties>",
        ]
    for result in outcome.results:
        lines += _case(result, Style(context.style.width))
    return "\n".join([*lines, "</testsuite>", "</testsuites>"])


def _case(result: Verdict | Unreadable, style: Style) -> list[str]:
    name = f"{path_of(result)} for {result.budget.target}"
    start = f'<testcase classname="{_safe(result.budget.name)}" name="{_safe(name)}">'
    content = "\n".join(_safe(line) for line in result_lines(result, style))
    if isinstance(result, Unreadable):
        message = str(result.error).splitlines()[0]
        return [start, f'<error type="unreadable" message="{_safe(message)}">{content}</error>', "</testcase>"]
    failed = [limit for limit in result.limits if limit.status is Status.FAIL]
    if not failed:
        return [start, f"<system-out>{content}</system-out>", "</testcase>"]
    tag = "skipped" if result.budget.informational else "failure"
    message = "; ".join(limit_text(limit) for limit in failed)
    return [start, f'<{tag} type="{failed[0].kind}" message="{_safe(message)}">{content}</{tag}>', "</testcase>"]


def _element(tag: str, **attributes: str) -> str:
    return f"<{tag}{_attributes(attributes)}/>"


def _attributes(values: dict[str, int] | dict[str, str]) -> str:
    return "".join(f' {name}="{_safe(str(value))}"' for name, value in values.items())


def _safe(text: str) -> str:
    """Escaped, and without the characters that XML forbids."""
    return escape(printable(text))
