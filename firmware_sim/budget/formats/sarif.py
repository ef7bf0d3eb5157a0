"""The format `sarif`: SARIF 2.1.0 (OASIS), for code scanning. Places are the lines on which budgets are stated."""

from __future__ import annotations

import contextlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import quote

from firmware_sim.budget.evaluation import Outcome
from firmware_sim.budget.formats.findings import RULES, Finding, findings
from firmware_sim.budget.formats.registry import FormatContext
from firmware_sim.budget.formats.words import Location, location, path_of
from firmware_sim.report.labels import printable

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT: Final = "%SRCROOT%"
_RULE_IDS: Final = list(RULES)


def render(outcome: Outcome, context: FormatContext) -> str:
    """One run; a result for each finding."""
    run = {
        "tool": {"driver": _driver()},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the repository"}}},
        "invocations": [
            {
                "executionSuccessful": not any(finding.rule == "unreadable" for finding in findings(outcome)),
                "exitCode": outcome.exit_code,
                "toolExecutionNotifications": [
                    {"message": {"text": printable(note)}, "level": "note"} for note in outcome.notes
                ],
            }
        ],
        "results": [_result(finding, context) for finding in findings(outcome)],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _driver() -> dict[str, Any]:
    driver: dict[str, Any] = {"name": "sapool check", "rules": [_rule(id, text) for id, text in RULES.items()]}
    with contextlib.suppress(PackageNotFoundError):
        driver["version"] = version("sapool")
    return driver


def _rule(id: str, text: str) -> dict[str, Any]:
    return {
        "id": f"sapool/{id}",
        "name": "".join(part.capitalize() for part in id.split("-")),
        "shortDescription": {"text": text},
        "fullDescription": {"text": f"{text} The budgets are in sapool.toml, or in [tool.sapool] of pyproject.toml."},
        "help": {"text": f"{text} `sapool check` on the command line tells why, and what would help."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, context: FormatContext) -> dict[str, Any]:
    limit = finding.limit
    properties: dict[str, Any] = {
        "budget": printable(finding.result.budget.name),
        "model": printable(path_of(finding.result)),
    }
    if limit is not None and limit.used_bytes is not None:
        properties |= {
            "usedBytes": limit.used_bytes,
            "limitBytes": limit.limit_bytes,
            "marginBytes": limit.margin_bytes,
        }
    return {
        "ruleId": f"sapool/{finding.rule}",
        "ruleIndex": _RULE_IDS.index(finding.rule),
        "level": finding.grade,
        "message": {"text": finding.text},
        "locations": [_location(location(finding.result.budget, context.root) or Location(path_of(finding.result), 1))],
        "partialFingerprints": {"sapoolBudget/v1": finding.fingerprint},
        "properties": properties,
    }


def _location(place: Location) -> dict[str, Any]:
    uri = quote(place.path.encode("utf-8", "surrogateescape"))
    artifact = {"uri": f"file://{uri}"} if place.path.startswith("/") else {"uri": uri, "uriBaseId": _ROOT}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": place.line}}}
