"""`runs = true`: what rules say, what TFLM says, and what is said where it could not be asked."""

from __future__ import annotations

import importlib.util

import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import profiles, read
from firmware_sim.budget import Budget, Status, evaluate
from firmware_sim.budget.running import running
from firmware_sim.errors import UsageError

HOST, CHIP = profiles.get("host64"), profiles.get("cortex-m-cmsis-nn-dsp")
SOUND = read(tflite(small_network()), name="sound")
# Nobody but the application knows whether there is a kernel for a custom operator.
CUSTOM = tflite(Graph([T([1, 4]), T([1, 4])], [Op("MyOwnOperator", [0], [1])], [0], [1]))
DOUBTED = read(CUSTOM, name="doubted")

needs_tflm = pytest.mark.skipif(importlib.util.find_spec("tflite_micro") is None, reason="needs the extra tflm")


def absent() -> str | None:
    raise UsageError("TFLM is not installed")


def untouched() -> str | None:
    pytest.fail("TFLM was asked")


def judged(runs: bool, model, profile, judge):
    return [(limit.status, limit.note) for limit in running(Budget("b", "m", runs=runs), model, profile, judge)]


def test_without_the_key_nothing_is_run_and_only_doubts_are_told():
    assert judged(False, SOUND, CHIP, untouched) == []
    ((status, note),) = judged(False, DOUBTED, CHIP, untouched)
    assert status is Status.WARN
    assert "TFLM may refuse it" in note
    assert "MyOwnOperator" in note


@pytest.mark.parametrize(
    ("model", "profile", "judge", "status", "words"),
    [
        (SOUND, HOST, lambda: None, Status.PASS, "it was run in TFLM"),
        (SOUND, CHIP, lambda: None, Status.PASS, "for cortex-m-cmsis-nn-dsp it was judged by rules alone"),
        (SOUND, HOST, absent, Status.PASS, "could not be run: TFLM is not installed"),
        (SOUND, CHIP, absent, Status.PASS, "could not be run: TFLM is not installed"),
        (SOUND, CHIP, lambda: "no memory", Status.FAIL, "refuses it: no memory"),
        (DOUBTED, HOST, lambda: None, Status.WARN, "TFLM may refuse it"),
        (DOUBTED, CHIP, lambda: None, Status.FAIL, "TFLM may refuse it"),
        (DOUBTED, HOST, absent, Status.FAIL, "could not be run"),
    ],
)
def test_tflm_decides_for_its_own_build_and_rules_for_others(model, profile, judge, status, words):
    ((found, note),) = judged(True, model, profile, judge)
    assert found is status
    assert words in note


@needs_tflm
@pytest.mark.oracle
def test_tflm_itself_is_asked(tmp_path):
    (tmp_path / "sound.tflite").write_bytes(tflite(small_network()))
    (tmp_path / "doubted.tflite").write_bytes(CUSTOM)
    outcome = evaluate([Budget(name, f"{name}.tflite", tmp_path, runs=True) for name in ("sound", "doubted")])
    sound, doubted = (result.limits[0] for result in outcome.results)
    assert (sound.status, sound.note) == (Status.PASS, "it was run in TFLM")
    assert doubted.status is Status.FAIL
    assert "TFLM on this machine refuses it" in doubted.note
    assert outcome.exit_code == 1


def test_a_model_is_run_once_however_many_budgets_it_has(tmp_path, monkeypatch):
    from firmware_sim.run import tflm

    calls = []
    monkeypatch.setattr(tflm, "refused", lambda content: calls.append(len(content)))
    (tmp_path / "m.tflite").write_bytes(tflite(small_network()))
    names = ("host64", "rp2040", "stm32f446re")
    outcome = evaluate([Budget(name, "m.tflite", tmp_path, target=name, runs=True) for name in names])
    assert outcome.exit_code == 0
    assert calls == [SOUND.size_bytes]
