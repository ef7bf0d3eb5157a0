"""The outcome of a check as text and as JSON."""

from __future__ import annotations

import json
from typing import Any

from firmware_sim.budget.evaluation import Outcome, Unreadable
from firmware_sim.budget.verdict import Limit, Status, Verdict
from firmware_sim.errors import UsageError
from firmware_sim.report import Style
from firmware_sim.report.text import paint, peak_tables, printable
from firmware_sim.sizes import describe

ID = "sapool.check/1"
_COLOURS = {Status.PASS: "32", Status.WARN: "33", Status.FAIL: "31"}


def formats() -> tuple[str, ...]:
    """The names of the formats, "text" first."""
    return ("text", "json")


def render(outcome: Outcome, format: str = "text", *, style: Style | None = None) -> str:
    """Write an outcome in one of the `formats`.

    Raises:
        UsageError: there is no such format.
    """
    if format == "text":
        return _text(outcome, style or Style())
    if format == "json":
        return json.dumps(as_dict(outcome), indent=2, ensure_ascii=False)
    raise UsageError(f"unknown format '{format}'", hint=f"formats: {', '.join(formats())}")


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain dicts, lists, strings and numbers."""
    return {
        "schema": ID,
        "exit_code": outcome.exit_code,
        "results": [
            _unreadable_dict(result) if isinstance(result, Unreadable) else _verdict_dict(result)
            for result in outcome.results
        ],
    }


def _unreadable_dict(result: Unreadable) -> dict[str, Any]:
    budget = result.budget
    return {
        "budget": budget.name,
        "model": result.path,
        "target": budget.target,
        "informational": budget.informational,
        "status": "ERROR",
        "error": str(result.error),
        "limits": [],
        "peaks": [],
    }


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "budget": verdict.budget.name,
        "model": verdict.report.model.path,
        "target": verdict.budget.target,
        "informational": verdict.budget.informational,
        "status": verdict.status.value,
        "error": None,
        "limits": [
            {
                "what": limit.what,
                "status": limit.status.value,
                "used_bytes": limit.used_bytes,
                "limit_bytes": limit.limit_bytes,
                "margin_bytes": limit.margin_bytes,
                "margin_percent": round(limit.margin_percent, 2),
                "note": limit.note,
            }
            for limit in verdict.limits
        ],
        "peaks": [
            {
                "index": layer.index,
                "subgraph": layer.subgraph,
                "op": layer.op,
                "name": layer.name,
                "live_bytes": layer.live_bytes,
                "live": [{"tensor": live.tensor, "bytes": live.bytes, "offset": live.offset} for live in layer.live],
            }
            for layer in verdict.report.layers
            if layer.peak
        ],
    }


def _text(outcome: Outcome, style: Style) -> str:
    lines: list[str] = []
    for result in outcome.results:
        if isinstance(result, Unreadable):
            lines.append(f"{paint('ERROR', _COLOURS[Status.FAIL], style)} {printable(result.budget.name)}")
            # The message starts with the path.
            lines += [f"      {printable(line)}" for line in str(result.error).splitlines()]
        else:
            lines += _verdict_text(result, style)
    return "\n".join([*lines, "", _summary(outcome)])


def _verdict_text(verdict: Verdict, style: Style) -> list[str]:
    status = verdict.status
    mark = paint(f"{status.value:<5}", _COLOURS[status], style)
    suffix = " (informational)" if verdict.budget.informational else ""
    path = printable(verdict.report.model.path)
    lines = [f"{mark} {printable(verdict.budget.name)}{suffix}  {path}  {verdict.report.profile.id}"]
    lines += [f"      {_limit_text(limit)}" for limit in verdict.limits]
    if status is Status.FAIL:
        lines += [f"      {line}" for line in peak_tables(verdict.report, style.width - 6)]
    return lines


def _limit_text(limit: Limit) -> str:
    margin = (
        f"{describe(limit.margin_bytes)} left"
        if limit.margin_bytes >= 0
        else f"{describe(-limit.margin_bytes)} too much"
    )
    text = (
        f"{limit.what:<12} {describe(limit.used_bytes)} of {describe(limit.limit_bytes)}: "
        f"{margin}, {limit.margin_percent:+.1f} %"
    )
    return f"{text}; {limit.status.value.lower()}: {printable(limit.note)}" if limit.note else text


def _summary(outcome: Outcome) -> str:
    counts = {status.value: 0 for status in Status} | {"ERROR": 0}
    for result in outcome.results:
        counts["ERROR" if isinstance(result, Unreadable) else result.status.value] += 1
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return f"{len(outcome.results)} checked: {', '.join(parts)}"
