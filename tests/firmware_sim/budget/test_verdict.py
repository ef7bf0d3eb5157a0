"""What budgets say of models, and what a check of many comes to."""

from __future__ import annotations

import dataclasses

import pytest
from support.tflite_files import small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import Budget, Increase, Status, Unreadable, check, evaluate
from firmware_sim.budget.evaluation import models
from firmware_sim.errors import UsageError
from firmware_sim.report.diff import from_report

CONTENT = tflite(small_network())
REPORT = memreport(read(CONTENT, name="small.tflite"), profile="cortex-m-reference")
NEEDED = max(REPORT.arena.total_bytes, REPORT.arena.minimum_bytes or 0)


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


def test_an_upper_bound_that_is_met_is_a_pass_that_says_so():
    reason = "at most; temporary tensors"
    arena = dataclasses.replace(REPORT.arena, inexact={"minimum_bytes": reason})
    report = dataclasses.replace(REPORT, arena=arena)
    for limit_bytes, status in ((NEEDED, Status.PASS), (NEEDED - 1, Status.FAIL)):
        (limit,) = check(Budget("b", "m", arena_bytes=limit_bytes), report).limits
        assert (limit.status, limit.note) == (status, reason)
    (_, exact) = check(Budget("b", "m", arena_bytes=NEEDED, exact=True), report).limits
    assert (exact.kind, exact.status, exact.note) == ("exact", Status.FAIL, reason)


def test_an_arena_whose_start_is_unknown_is_judged_by_what_is_known_and_warned_about():
    arena = dataclasses.replace(
        REPORT.arena, minimum_bytes=None, exact=False, unmodelled=("operator X",), inexact={"total_bytes": "operator X"}
    )
    report = dataclasses.replace(REPORT, arena=arena)
    (limit,) = check(Budget("b", "m", arena_bytes=10**6), report).limits
    assert limit.used_bytes % 16 == 0
    assert 0 <= limit.used_bytes - arena.total_bytes < 16
    assert limit.status is Status.WARN
    assert check(Budget("b", "m", arena_bytes=10**6, exact=True), report).exceeded
    assert check(Budget("b", "m", arena_bytes=10**6, exact=True), REPORT).status is Status.PASS


def grown(**figures: int):
    """The present figures as a baseline, changed."""
    before = from_report(REPORT)
    return dataclasses.replace(before, figures={**before.figures, **figures})


FILE = REPORT.flash.model_bytes


@pytest.mark.parametrize(
    ("increase", "before", "status"),
    [
        (Increase(0), NEEDED, Status.PASS),
        (Increase(0), NEEDED + 16, Status.PASS),
        (Increase(0), NEEDED - 16, Status.FAIL),
        (Increase(16), NEEDED - 16, Status.PASS),
        (Increase(15), NEEDED - 16, Status.FAIL),
        (Increase(percent=100), NEEDED // 2, Status.PASS),
        (Increase(percent=99), NEEDED // 2, Status.FAIL),
    ],
)
def test_growth_is_held_against_the_baseline(increase, before, status):
    for budget, figures in (
        (Budget("b", "m", arena_increase=increase), {"minimum_bytes": before, "total_bytes": 16}),
        (Budget("b", "m", flash_increase=increase), {"model_bytes": before - NEEDED + FILE}),
    ):
        if budget.flash_increase and increase.percent:
            continue
        (limit,) = check(budget, REPORT, before=grown(**figures)).limits
        assert limit.status is status
        assert limit.used_bytes == NEEDED - before


def test_growth_warns_near_its_limit():
    budget = Budget("b", "m", arena_increase=Increase(100), warn_at=0.5)
    for before, status in ((NEEDED - 48, Status.PASS), (NEEDED - 64, Status.WARN), (NEEDED - 112, Status.FAIL)):
        assert check(budget, REPORT, before=grown(minimum_bytes=before, total_bytes=16)).status is status


def test_growth_of_figures_that_are_not_exact_is_never_a_plain_pass():
    before = dataclasses.replace(grown(), exact=False)
    budget = Budget("b", "m", arena_increase=Increase(0), flash_increase=Increase(0))
    assert [limit.status for limit in check(budget, REPORT, before=before).limits] == [Status.WARN, Status.PASS]


def test_growth_without_a_baseline_passes_and_says_so():
    (limit,) = check(Budget("b", "m", arena_increase=Increase(0)), REPORT).limits
    assert limit.status is Status.PASS
    assert "not in the baseline" in limit.note
    (limit,) = check(Budget("b", "m", arena_increase=Increase(0)), REPORT, before=grown(), accept=True).limits
    assert limit.note == "accepted into the baseline"


def test_operators_that_are_not_allowed_fail_and_are_named():
    ops = tuple(dict.fromkeys(layer.op for layer in REPORT.layers))
    assert check(Budget("b", "m", allow_ops=ops), REPORT).status is Status.PASS
    (limit,) = check(Budget("b", "m", allow_ops=ops[2:]), REPORT).limits
    assert limit.status is Status.FAIL
    assert limit.note == "not allowed: CONV_2D at layer 0; DEPTHWISE_CONV_2D at layer 1"


def test_regions_of_a_board_have_limits_of_their_own():
    """The arena fills the 112 KiB of the STM32F446's SRAM1 first (RM0390, section 2.2); the model is in flash."""
    report = memreport(read(CONTENT, name="m"), target="stm32f407vg")
    needed = report.arena.minimum_bytes
    for regions, statuses in (
        ({"sram1": needed, "sram2": 0, "flash": FILE}, [Status.PASS] * 3),
        ({"sram1": needed - 1, "flash": FILE - 1}, [Status.FAIL] * 2),
    ):
        board, *found = check(Budget("b", "m", target="stm32f407vg", regions=regions), report).limits
        assert board.status is Status.PASS
        assert [limit.status for limit in found] == statuses
        assert [limit.what for limit in found] == [f"region {name}" for name in regions]


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


def test_a_model_that_tflm_refuses_counts_as_one_that_cannot_be_read(tmp_path):
    """Float data with integer weights: TFLM refuses them in every build."""
    graph = small_network()
    graph.tensors[0] = dataclasses.replace(graph.tensors[0], type="FLOAT32")
    graph.tensors[3] = dataclasses.replace(graph.tensors[3], type="FLOAT32")
    (tmp_path / "hybrid.tflite").write_bytes(tflite(graph))
    outcome = evaluate([Budget("b", "hybrid.tflite", tmp_path, arena_bytes=10**6)])
    assert outcome.exit_code == 3
    (result,) = outcome.results
    assert isinstance(result, Unreadable)
    assert "refuses the model" in str(result.error)
