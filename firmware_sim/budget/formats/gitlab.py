"""The format `gitlab`: a report of GitLab's Code Quality (docs.gitlab.com, "Code Quality", report format)."""

from __future__ import annotations

import json
from typing import Any, Final

from firmware_sim.budget.evaluation import Outcome
from firmware_sim.budget.formats.findings import Finding, findings
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.words import Location, location, path_of
from firmware_sim.report.labels import printable

_SEVERITIES: Final = {"error": "critical", "warning": "minor", "note": "info"}


def render(outcome: Outcome, context: FormatContext) -> str:
    """A list of findings, empty if there are none."""
    return json.dumps([_entry(finding, context) for finding in findings(outcome)], indent=2, ensure_ascii=False)


def _entry(finding: Finding, context: FormatContext) -> dict[str, Any]:
    place = location(finding.result.budget, context.root) or Location(path_of(finding.result), 1)
    return {
        "description": finding.text,
        "check_name": f"sapool/{finding.rule}",
        "fingerprint": finding.fingerprint,
        "severity": _SEVERITIES[finding.grade],
        "location": {"path": printable(place.path), "lines": {"begin": place.line}},
    }
