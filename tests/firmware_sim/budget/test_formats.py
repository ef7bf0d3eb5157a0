"""The formats of a check, each held against a schema or a parser that is not ours where there is one."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import unquote

import jsonschema
import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import (
    Budget,
    Increase,
    Outcome,
    Place,
    Status,
    Unreadable,
    check,
    check_schema,
    formats,
    render,
)
from firmware_sim.budget.formats.github import MOST_SUMMARY_BYTES, step_summary
from firmware_sim.errors import FileError, UsageError
from firmware_sim.report import Style
from firmware_sim.report.diff import from_report

SCHEMAS = Path(__file__).parents[2] / "data" / "schemas"
REPORT = memreport(read(tflite(small_network()), name="build/größe 1.tflite"), profile="cortex-m-reference")
PEAK = next(layer for layer in REPORT.layers if layer.peak)
PLACE = Place(Path("ci/sapool.toml"), 12)


def budget(name: str, **keys) -> Budget:
    return Budget(name, "build/*.tflite", target="cortex-m-reference", place=PLACE, **keys)


NOW = from_report(REPORT)
BEFORE = dataclasses.replace(
    NOW,
    layers=NOW.layers[:-1],
    figures={**NOW.figures, "total_bytes": 16, "minimum_bytes": NOW.figures["minimum_bytes"] - 16},
)
PASS = check(budget("good", arena_bytes=10**6, flash_bytes=10**6), REPORT)
WARN = check(budget("close", arena_bytes=10**6, warn_at=0), REPORT)
FAIL = check(budget("small", arena_bytes=1000, flash_bytes=10**6, arena_increase=Increase(0)), REPORT, before=BEFORE)
TOLD = check(budget("told", arena_bytes=1000, informational=True), REPORT)
OPS = check(budget("ops", allow_ops=("ADD",)), REPORT)
LOST = Unreadable(
    budget("lost"), "build/none.tflite", FileError("no such file", where="build/none.tflite", hint="look")
)
RESULTS = {"PASS": PASS, "WARN": WARN, "FAIL": FAIL, "told": TOLD, "OPS": OPS, "ERROR": LOST}
ALL = Outcome(tuple(RESULTS.values()), ("a note",))


def xml_of(outcome: Outcome) -> ET.Element:
    return ET.fromstring(render(outcome, "junit").encode())


def findings_of(outcome: Outcome) -> list[dict]:
    return json.loads(render(outcome, "gitlab"))


def sarif_of(outcome: Outcome, **options) -> dict:
    (run,) = json.loads(render(outcome, "sarif", **options))["runs"]
    return run


def annotations(outcome: Outcome, **options) -> list[str]:
    text = render(outcome, "github", **options)
    (token,) = re.findall(r"^::stop-commands::(\w+)$", text, re.MULTILINE)
    return text.partition(f"\n::{token}::")[2].splitlines()[1:]


# What a format says of one result, and nothing of the others.
EXPECTED = {
    "PASS": ("passed", [], None, []),
    "WARN": ("passed", ["minor"], "warning", ["warning"]),
    "FAIL": ("failure", ["critical", "critical"], "error", ["error", "error"]),
    "told": ("skipped", ["info"], "notice", ["note"]),
    "OPS": ("failure", ["critical"], "error", ["error"]),
    "ERROR": ("error", ["critical"], "error", ["error"]),
}
CODES = {"PASS": 0, "WARN": 0, "FAIL": 1, "told": 0, "OPS": 1, "ERROR": 3}


@pytest.mark.parametrize("name", RESULTS)
def test_every_format_says_the_same_of_a_result(name):
    outcome = Outcome((RESULTS[name],))
    assert outcome.exit_code == CODES[name]
    case_tag, severities, command, levels = EXPECTED[name]
    (case,) = xml_of(outcome).iter("testcase")
    tags = {child.tag for child in case} - {"system-out"}
    assert tags == (set() if case_tag == "passed" else {case_tag})
    assert [entry["severity"] for entry in findings_of(outcome)] == severities
    assert [line.split(" ")[0] for line in annotations(outcome)] == ([f"::{command}"] if command else [])
    assert [result["level"] for result in sarif_of(outcome)["results"]] == levels
    word = {"told": "FAIL", "OPS": "FAIL"}.get(name, name)
    assert render(outcome, "text").startswith(f"{word:<5} ")
    assert f" {word} " in render(outcome, "markdown").splitlines()[4]
    (result,) = json.loads(render(outcome, "json"))["results"]
    assert result["status"] == word


@pytest.mark.parametrize("name", [*RESULTS, "all", "none"])
def test_documents_meet_the_schemas_of_those_who_read_them(name):
    xmlschema = pytest.importorskip("xmlschema")
    outcome = {"all": ALL, "none": Outcome(())}.get(name) or Outcome((RESULTS[name],), ("a note",))
    xmlschema.XMLSchema(str(SCHEMAS / "junit-10.xsd")).validate(render(outcome, "junit"))


SARIF = jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text("utf-8")))


@pytest.mark.parametrize("name", [*RESULTS, "all", "none"])
def test_json_documents_meet_their_schemas(name):
    outcome = {"all": ALL, "none": Outcome(())}.get(name) or Outcome((RESULTS[name],), ("a note",))
    SARIF.validate(json.loads(render(outcome, "sarif")))
    jsonschema.Draft202012Validator.check_schema(check_schema())
    jsonschema.Draft202012Validator(check_schema()).validate(json.loads(render(outcome, "json")))


def test_text_tells_margin_peak_movers_and_what_would_help():
    text = render(Outcome((FAIL,)), style=Style(width=120))
    used = REPORT.arena.minimum_bytes
    assert f"arena         {used:,} of 1,000 bytes" in text
    assert f"{used - 1000:,} bytes too much, -{100 * (used - 1000) / 1000:.1f} %" in text
    assert "KiB" in text
    assert "bytes left, +" in text
    assert f"peak at layer {PEAK.index} {PEAK.op}: {PEAK.live_bytes:,} bytes alive" in text
    for live in PEAK.live:
        assert live.tensor in text
    assert "against the baseline, most changed\n" in text
    assert "layer 5 SOFTMAX classes (added)" in text
    assert "what would help\n" in text
    assert "(estimate)" in text
    assert text.endswith("1 checked: 1 FAIL")
    assert "\x1b" not in text


def test_colour_is_a_matter_of_style_and_of_text_alone():
    for format in formats():
        content = render(ALL, format, style=Style(colour=True))
        assert ("\x1b[31mFAIL" in content) == (format == "text")


def test_nothing_is_explained_that_does_not_fail():
    assert "peak at layer" not in render(Outcome((PASS, WARN)))
    assert "<details>" not in render(Outcome((PASS, WARN)), "markdown")


def test_json_has_everything():
    content = json.loads(render(ALL, "json"))
    assert content["exit_code"] == 3
    assert content["notes"] == ["a note"]
    results = {result["budget"]: result for result in content["results"]}
    limit = results["small"]["limits"][0]
    assert limit["margin_bytes"] == limit["limit_bytes"] - limit["used_bytes"]
    assert limit["margin_percent"] == round(limit["margin_bytes"] / 10, 2)
    assert results["small"]["movers"][0]["op"] == "SOFTMAX"
    assert results["small"]["remedies"]
    assert results["small"]["peaks"][0]["live"]
    assert results["small"]["place"] == {"path": str(PLACE.path), "line": 12}
    assert "no such file" in results["lost"]["error"]
    assert results["ops"]["limits"][0]["used_bytes"] is None


def test_junit_counts_what_it_lists():
    root = xml_of(ALL)
    (suite,) = root.iter("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "2", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert [case.get("classname") for case in root.iter("testcase")] == [r.budget.name for r in ALL.results]
    (failure,) = (case.find("failure") for case in root.iter("testcase") if case.get("classname") == "small")
    assert "too much" in failure.get("message")
    assert "peak at layer" in failure.text


def test_places_are_lines_of_the_configuration_relative_to_the_repository():
    root = Path("ci")
    for outcome in (Outcome((FAIL,)), Outcome((LOST,))):
        assert {entry["location"]["path"] for entry in findings_of(outcome)} == {"ci/sapool.toml"}
        entry = json.loads(render(outcome, "gitlab", root=root))[0]
        assert entry["location"] == {"path": "sapool.toml", "lines": {"begin": 12}}
        place = sarif_of(outcome, root=root)["results"][0]["locations"][0]["physicalLocation"]
        assert place["artifactLocation"] == {"uri": "sapool.toml", "uriBaseId": "%SRCROOT%"}
        assert place["region"] == {"startLine": 12}
        assert annotations(outcome, root=root)[0].startswith("::error file=sapool.toml,line=12,title=")
    outside = sarif_of(Outcome((FAIL,)), root=Path("elsewhere"))["results"][0]["locations"][0]["physicalLocation"]
    uri = outside["artifactLocation"]["uri"]
    assert unquote(uri) == f"file://{Path('ci/sapool.toml').absolute().as_posix()}"


def test_a_budget_without_a_file_is_placed_at_its_model():
    verdict = check(Budget("b", "m", arena_bytes=1), REPORT)
    (entry,) = findings_of(Outcome((verdict,)))
    assert entry["location"]["path"] == REPORT.model.path
    (result,) = sarif_of(Outcome((verdict,)))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "build/gr%C3%B6%C3%9Fe%201.tflite"
    assert annotations(Outcome((verdict,)))[0].startswith("::error title=")


def test_fingerprints_name_the_problem_and_not_its_figures():
    larger = check(
        budget("small", arena_bytes=900, flash_bytes=10**6, arena_increase=Increase(0)), REPORT, before=BEFORE
    )
    prints = [[entry["fingerprint"] for entry in findings_of(Outcome((result,)))] for result in (FAIL, larger)]
    assert prints[0] == prints[1]
    everything = [entry["fingerprint"] for entry in findings_of(ALL)]
    assert len(set(everything)) == len(everything)
    sarif = [result["partialFingerprints"]["sapoolBudget/v1"] for result in sarif_of(ALL)["results"]]
    assert sarif == everything


@pytest.mark.parametrize("count", [1, 10, 11, 40])
def test_annotations_stay_within_what_github_shows(count):
    verdicts = [
        check(budget(f"b{number}", arena_bytes=1, informational=number % 2 == 0), REPORT) for number in range(count)
    ]
    lines = annotations(Outcome(tuple(verdicts)))
    assert len(lines) == min(count, 10)
    kinds = [line.split(" ")[0] for line in lines]
    assert kinds == sorted(kinds, key=["::error", "::warning", "::notice"].index)
    if count > 10:
        assert lines[-1].endswith(f"::{count - 9} more budgets are not met; the log has them")


def test_one_annotation_for_a_budget_with_many_models():
    reports = [dataclasses.replace(REPORT, model=dataclasses.replace(REPORT.model, path=f"m{n}")) for n in range(9)]
    results = [
        check(budget("all", arena_bytes=10**6), reports[0]),
        *(check(budget("all", arena_bytes=1), r) for r in reports),
    ]
    (line,) = annotations(Outcome((*results, dataclasses.replace(LOST, budget=budget("all")))))
    assert line.count("%0A") == 5
    assert line.endswith("and 5 more models; the log has them")


def test_the_summary_of_a_step_fits_whatever_there_is():
    verdicts = tuple(check(budget(f"b{number}", arena_bytes=1), REPORT) for number in range(300))
    whole = step_summary(Outcome(verdicts))
    assert "<details>" in whole
    for used in (MOST_SUMMARY_BYTES - len(whole.encode()) + 1, MOST_SUMMARY_BYTES - 5000, MOST_SUMMARY_BYTES - 10):
        summary = step_summary(Outcome(verdicts), used)
        assert len(summary.encode()) + used <= MOST_SUMMARY_BYTES
        assert "<details>" not in summary
    assert "more rows are left out" in step_summary(Outcome(verdicts), MOST_SUMMARY_BYTES - 5000)
    assert step_summary(Outcome(verdicts), MOST_SUMMARY_BYTES) == ""


HOSTILE = "x\x1b[31m\n::error::y\r```</pre><b>|*_@everyone %0A \udcff\x00 ] ]]> & \"'"


def test_names_from_files_are_text_and_nothing_else():
    name = f"{'n' * 60}::error::  ::set-env name=A::b {HOSTILE}"
    graph = Graph([T([1, 8, 8, 32], name=f"t{n}" if n != 1 else name.replace("\udcff", "")) for n in range(3)],
                  [Op("RELU", [0], [1]), Op("RELU", [1], [2])], [0], [2])  # fmt: skip
    report = memreport(read(tflite(graph), name=HOSTILE))
    stated = dataclasses.replace(budget(HOSTILE, arena_bytes=1), place=Place(Path(f"ci/{HOSTILE}/sapool.toml"), 1))
    outcome = Outcome((check(stated, report), dataclasses.replace(LOST, budget=stated, path=HOSTILE)), (HOSTILE,))
    for format in formats():
        content = render(outcome, format)
        assert content.encode("utf-8"), format
        if format != "json":
            assert "\x1b" not in content
            assert "\r" not in content
    assert len(list(xml_of(outcome).iter("testcase"))) == 2
    SARIF.validate(json.loads(render(outcome, "sarif")))
    page = render(outcome, "markdown")
    assert "<b>" not in page
    assert "@everyone" not in page.replace("<pre>", "").split("<details>")[0]
    assert page.count("</pre>") == 2
    (line,) = annotations(outcome)
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert "\n" not in message
    assert [entry.partition("=")[0] for entry in properties.split(",")] == ["file", "line", "title"]


def test_an_unknown_format_is_a_usage_error():
    with pytest.raises(UsageError, match="text, json"):
        render(Outcome(()), "xml")


def test_statuses_are_all_of_the_enumeration():
    assert {result.status for result in RESULTS.values() if not isinstance(result, Unreadable)} == set(Status)
