"""The format `json`: everything, as the schema `sapool.check/1` states."""

from __future__ import annotations

import json
from typing import Any

from firmware_sim.budget.advice import Advice, advise
from firmware_sim.budget.evaluation import Outcome, Unreadable, key_of
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.words import path_of, word
from firmware_sim.budget.schema import CHECK_ID
from firmware_sim.budget.verdict import Limit, Verdict


def render(outcome: Outcome, context: FormatContext) -> str:
    """The outcome as indented JSON."""
    # Names of files may hold what is no text at all; only escapes bring them through.
    text = json.dumps(as_dict(outcome), indent=2, ensure_ascii=False)
    return text if _is_encodable(text) else json.dumps(as_dict(outcome), indent=2)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The outcome as plain dicts, lists, strings and numbers."""
    return {
        "schema": CHECK_ID,
        "exit_code": outcome.exit_code,
        "results": [_result(result) for result in outcome.results],
        "notes": list(outcome.notes),
    }


def _result(result: Verdict | Unreadable) -> dict[str, Any]:
    budget = result.budget
    verdict = None if isinstance(result, Unreadable) else result
    advice = Advice() if verdict is None else advise(verdict)
    return {
        "budget": budget.name,
        "model": path_of(result),
        "target": budget.target,
        "profile": key_of(result).profile,
        "place": None if budget.place is None else {"path": str(budget.place.path), "line": budget.place.line},
        "informational": budget.informational,
        "status": word(result),
        "error": str(result.error) if isinstance(result, Unreadable) else None,
        "limits": [] if verdict is None else [_limit(limit) for limit in verdict.limits],
        "peaks": [] if verdict is None else _peaks(verdict),
        "in_baseline": verdict is not None and verdict.before is not None,
        "movers": [
            {
                "kind": mover.change.kind,
                "op": mover.change.layer.op,
                "name": mover.change.layer.name,
                "figure": mover.figure,
                "change_bytes": mover.change_bytes,
            }
            for mover in advice.movers
        ],
        "remedies": [
            {
                "kind": remedy.kind,
                "saves_bytes": remedy.saves_bytes,
                "estimate": remedy.is_estimate,
                "text": remedy.text,
            }
            for remedy in advice.remedies
        ],
    }


def _limit(limit: Limit) -> dict[str, Any]:
    percent = limit.margin_percent
    return {
        "kind": limit.kind,
        "what": limit.what,
        "status": limit.status.value,
        "used_bytes": limit.used_bytes,
        "limit_bytes": limit.limit_bytes,
        "margin_bytes": limit.margin_bytes,
        "margin_percent": None if percent is None else round(percent, 2),
        "note": limit.note,
    }


def _peaks(verdict: Verdict) -> list[dict[str, Any]]:
    return [
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
    ]


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
