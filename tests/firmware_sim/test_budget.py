"""Budgets: their configuration, verdicts and outcomes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import Budget, Status, Unreadable, check, evaluate, find, load
from firmware_sim.budget.evaluation import models
from firmware_sim.budget.rendering import render
from firmware_sim.errors import UsageError
from firmware_sim.report import Style

CONTENT = tflite(small_network())
REPORT = memreport(read(CONTENT, name="small.tflite"), profile="cortex-m-reference")
NEEDED = max(REPORT.arena.total_bytes, REPORT.arena.minimum_bytes or 0)


def write(folder: Path, text: str, name: str = "sapool.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_is_read(tmp_path):
    path = write(
        tmp_path,
        """
        [[budget]]
        name = "person"
        model = "build/*.tflite"
        target = "stm32f446re"
        arena = "96 KiB"
        flash = "320kB"
        warn-at = 0.9
        informational = true
        [[budget]]
        model = "b.tflite"
        profile = "cortex-m-reference"
        arena = 1000
        """,
    )
    assert load(path) == (
        Budget("person", "build/*.tflite", tmp_path, "stm32f446re", 98304, 320000, 0.9, True),
        Budget("budget 2", "b.tflite", tmp_path, "cortex-m-reference", 1000),
    )


def test_pyproject_has_them_in_its_own_table(tmp_path):
    text = '[project]\nname = "x"\n[[tool.sapool.budget]]\nmodel = "a.tflite"\narena = 1\n'
    path = write(tmp_path, text, "pyproject.toml")
    assert [budget.model for budget in load(path)] == ["a.tflite"]
    assert find(tmp_path) == path
    own = write(tmp_path, "")
    assert find(tmp_path) == own


@pytest.mark.parametrize("text", [None, "[project]\nname = 'x'\n"])
def test_a_folder_without_configuration_is_told_what_to_write(tmp_path, text):
    if text:
        write(tmp_path, text, "pyproject.toml")
    with pytest.raises(UsageError, match=r"no sapool\.toml") as error:
        find(tmp_path)
    assert "[[budget]]" in str(error.value)


ONE = '[[budget]]\nmodel = "a.tflite"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["no budget is stated"]),
        ("budget = 3", ["list of tables"]),
        ("[budget]\nmodel = 'a'", ["list of tables"]),
        ("[[budgte]]\nmodel = 'a'", ["unknown key 'budgte'", "did you mean 'budget'?"]),
        (ONE + "arean = 1", ["budget 1", "unknown key 'arean'", "did you mean 'arena'?"]),
        (ONE + "warn_at = 0.5", ["did you mean 'warn-at'?"]),
        (ONE + "zzz = 1", ["known keys: name, model"]),
        (ONE, ["nothing is limited"]),
        (ONE + 'profile = "host64"', ["nothing is limited"]),
        ('[[budget]]\nname = "n"\narena = 1', ["budget 'n'", "'model' is missing"]),
        ("[[budget]]\nmodel = 3\narena = 1", ["'model' has to be text"]),
        (ONE + 'name = ""\narena = 1', ["'name' has to be text"]),
        (ONE + 'arena = "96 XiB"', ["'arena'", "'96 XiB' is not a size"]),
        (ONE + "flash = -1", ["'flash'", "is not a size"]),
        (ONE + "arena = 1\nwarn-at = 90", ["share between 0 and 1"]),
        (ONE + "arena = 1\nwarn-at = true", ["share between 0 and 1"]),
        (ONE + "arena = 1\ninformational = 1", ["true or false"]),
        (ONE + 'arena = 1\ntarget = "stm32f747"', ["unknown target 'stm32f747'", "stm32f746"]),
        (ONE + 'arena = 1\nprofile = "stm32f746"', ["unknown profile"]),
        (ONE + 'arena = 1\nprofile = "host64"\ntarget = "host64"', ["exclude each other"]),
        (ONE + "arena = 1\nname = 'x'\n" + ONE + "arena = 1\nname = 'x'\n", ["second budget of that name"]),
        (ONE + "arena = = 1", ["sapool.toml:3", "not valid TOML"]),
        ("a = '''\n\n", ["sapool.toml:3", "not valid TOML"]),
    ],
)
def test_mistakes_are_named_with_their_place(tmp_path, text, words):
    with pytest.raises(UsageError) as error:
        load(write(tmp_path, text))
    message = str(error.value)
    assert message.startswith(str(tmp_path))
    for word in words:
        assert word in message


def test_nesting_without_end_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="nested too deeply"):
        load(write(tmp_path, "a = " + "[" * 100_000))


def test_files_that_are_no_text_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.toml")
    (tmp_path / "sapool.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load(tmp_path / "sapool.toml")


@pytest.mark.parametrize(
    ("arena", "warn_at", "status"),
    [
        (NEEDED, 1.0, Status.PASS),
        (NEEDED - 1, 1.0, Status.FAIL),
        (2 * NEEDED, 0.5, Status.PASS),
        (2 * NEEDED - 1, 0.5, Status.WARN),
        (0, 1.0, Status.FAIL),
    ],
)
def test_the_arena_is_held_against_its_limit(arena, warn_at, status):
    verdict = check(Budget("b", "m", arena_bytes=arena, warn_at=warn_at), REPORT)
    assert verdict.status is status
    assert verdict.exceeded is (status is Status.FAIL)
    (limit,) = verdict.limits
    assert limit.margin_bytes == arena - NEEDED


def test_the_arena_that_counts_is_the_one_with_which_tflm_starts():
    assert REPORT.arena.minimum_bytes > REPORT.arena.total_bytes
    assert check(Budget("b", "m", arena_bytes=REPORT.arena.total_bytes), REPORT).status is Status.FAIL


def test_flash_is_the_size_of_the_file():
    for limit, status in ((len(CONTENT), Status.PASS), (len(CONTENT) - 1, Status.FAIL)):
        assert check(Budget("b", "m", flash_bytes=limit), REPORT).status is status


def test_a_board_has_to_hold_the_model():
    report = memreport(read(CONTENT, name="m"), target="rp2040")
    budget = Budget("b", "m", target="rp2040")
    verdict = check(budget, report)
    assert verdict.status is Status.PASS
    # 264 KiB of RAM in one block, less 16 KiB of reserve.
    assert verdict.limits[0].limit_bytes == (264 - 16) * 1024
    full = dataclasses.replace(
        report.target, fits=False, regions=(dataclasses.replace(report.target.regions[-1], fits=False),)
    )
    verdict = check(budget, dataclasses.replace(report, target=full))
    assert verdict.status is Status.FAIL
    assert "too much for flash" in verdict.limits[0].note


def test_a_figure_that_is_not_exact_is_never_a_plain_pass():
    arena = dataclasses.replace(REPORT.arena, exact=False, unmodelled=("operator X",))
    verdict = check(Budget("b", "m", arena_bytes=10 * NEEDED), dataclasses.replace(REPORT, arena=arena))
    assert verdict.status is Status.WARN
    assert "operator X" in verdict.limits[0].note


def test_informational_budgets_never_fail_a_check():
    verdict = check(Budget("b", "m", arena_bytes=1, informational=True), REPORT)
    assert verdict.status is Status.FAIL
    assert not verdict.exceeded


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "models with spaces [1]"
    folder.mkdir()
    for name in ("b.tflite", "a.tflite", "größe.tflite"):
        (folder / name).write_bytes(CONTENT)
    (folder / "notes.txt").write_text("no model")
    return folder


def test_a_glob_is_sorted_and_relative_to_the_configuration(project):
    found = models(Budget("b", "*.tflite", project))
    assert [path.name for path in found] == ["a.tflite", "b.tflite", "größe.tflite"]
    assert models(Budget("b", str(project / "a.tflite").replace("[", "[[]"))) == (project / "a.tflite",)
    with pytest.raises(UsageError, match="matches no file"):
        models(Budget("b", "*.onnx", project))


def test_every_budget_is_evaluated_and_the_worst_decides(project):
    good = Budget("good", "a.tflite", project, arena_bytes=10**6)
    small = Budget("small", "b.tflite", project, arena_bytes=10)
    missing = Budget("missing", "none.tflite", project, arena_bytes=10)
    text = Budget("text", "notes.txt", project, arena_bytes=10)
    for budgets, code in (
        ([good], 0),
        ([good, small], 1),
        ([small, good], 1),
        ([missing, small, good], 3),
        ([text, good], 3),
        ([dataclasses.replace(small, informational=True)], 0),
    ):
        outcome = evaluate(budgets)
        assert len(outcome.results) == len(budgets)
        assert outcome.exit_code == code
        for format in ("text", "json"):
            render(outcome, format)
        assert outcome.exit_code == code


def test_a_configuration_error_comes_before_anything_is_measured(project, monkeypatch):
    monkeypatch.setattr("firmware_sim.budget.evaluation.read", lambda path: pytest.fail("measured"))
    with pytest.raises(UsageError, match="matches no file"):
        evaluate([Budget("a", "a.tflite", project, arena_bytes=1), Budget("b", "*.onnx", project, arena_bytes=1)])


def test_a_model_is_measured_once_for_each_profile(project, monkeypatch):
    from firmware_sim.budget import evaluation

    calls = []
    monkeypatch.setattr(evaluation, "read", lambda path: calls.append(path) or read(path))
    one = Budget("1", "a.tflite", project, arena_bytes=1)
    evaluate([one, dataclasses.replace(one, name="2"), dataclasses.replace(one, name="3", target="rp2040")])
    assert len(calls) == 2


def test_text_tells_the_margin_the_peak_and_what_is_alive(project):
    outcome = evaluate([Budget("größe", "größe.tflite", project, arena_bytes=1000, flash_bytes=10**6)])
    text = render(outcome)
    peak = next(layer for layer in REPORT.layers if layer.peak)
    assert "FAIL  größe" in text
    assert "too much, -" in text
    assert "left, +" in text
    assert f"peak at layer {peak.index} {peak.op}: {peak.live_bytes:,} bytes alive" in text
    for live in peak.live:
        assert live.tensor in text
    assert text.endswith("1 checked: 1 FAIL")
    assert "\x1b" not in text
    assert "\x1b[31mFAIL" in render(outcome, style=Style(colour=True))


def test_no_peak_where_nothing_is_exceeded(project):
    assert "peak at layer" not in render(evaluate([Budget("b", "a.tflite", project, arena_bytes=10**6)]))


def test_json_has_bytes_and_percent(project):
    outcome = evaluate(
        [Budget("b", "a.tflite", project, arena_bytes=10000), Budget("c", "none", project, arena_bytes=1)]
    )
    content = json.loads(render(outcome, "json"))
    assert content["schema"] == "sapool.check/1"
    assert content["exit_code"] == 3
    first, second = content["results"]
    (limit,) = first["limits"]
    assert limit["margin_bytes"] == limit["limit_bytes"] - limit["used_bytes"]
    assert limit["margin_percent"] == round(limit["margin_bytes"] / 100, 2)
    assert first["peaks"][0]["live"]
    assert second["status"] == "ERROR"
    assert "none" in second["error"]
    assert isinstance(outcome.results[1], Unreadable)


def test_an_unknown_format_is_a_usage_error():
    with pytest.raises(UsageError, match="text, json"):
        render(evaluate([]), "xml")
