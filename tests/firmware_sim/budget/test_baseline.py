"""The baseline: what is stored, that it is stable, and that a damaged one is one clear error."""

from __future__ import annotations

import dataclasses
import json

import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import Budget, Increase, Unreadable, baseline, evaluate, updated
from firmware_sim.budget.baseline import Baseline, Key, dump
from firmware_sim.errors import FileError
from firmware_sim.report.diff import from_report

SMALL = tflite(small_network())


def wide(channels: int) -> bytes:
    return tflite(
        Graph(
            [T([1, 8, 8, channels], name=name) for name in "abc"],
            [Op("RELU", [0], [1]), Op("RELU", [1], [2])],
            [0],
            [2],
        )
    )


@pytest.fixture
def project(tmp_path):
    (tmp_path / "build").mkdir()
    for name in ("größe 1.tflite", "b.tflite"):
        (tmp_path / "build" / name).write_bytes(SMALL)
    return tmp_path


def measured(content: bytes = SMALL, profile: str = "host64"):
    return from_report(memreport(read(content, name="m"), profile=profile))


def store(folder, *budgets: Budget) -> Baseline:
    path = folder / "base.json"
    before = baseline.load(path)
    path.write_text(dump(updated(evaluate(budgets, before, accept=True), before)), "utf-8")
    return baseline.load(path)


def test_what_is_stored_is_what_was_measured(project):
    budgets = [
        Budget("all", "build/*.tflite", project, arena_bytes=1),
        Budget("board", "build/b.tflite", project, target="stm32f446re"),
    ]
    stored = store(project, *budgets)
    assert list(stored.entries) == [
        Key("all", "build/b.tflite", "host64"),
        Key("all", "build/größe 1.tflite", "host64"),
        Key("board", "build/b.tflite", "cortex-m-cmsis-nn-dsp"),
    ]
    for key, entry in stored.entries.items():
        expected = measured(profile=key.profile)
        assert (entry.figures, entry.layers, entry.exact) == (expected.figures, expected.layers, True)
        assert (entry.path, entry.profile) == (key.model, key.profile)


def test_the_file_is_sorted_stable_and_holds_nothing_of_the_machine(project):
    budgets = [Budget(name, "build/*.tflite", project, arena_bytes=1) for name in ("z", "a")]
    store(project, *budgets)
    text = (project / "base.json").read_text("utf-8")
    store(project, *reversed(budgets))
    assert (project / "base.json").read_text("utf-8") == text
    assert str(project) not in text
    assert "größe 1" in text
    layers = [line for line in text.splitlines() if line.startswith("    [")]
    assert len(layers) == 4 * len(small_network().operators)
    names = [(entry["budget"], entry["model"]) for entry in json.loads(text)["entries"]]
    assert names == sorted(names)


def test_an_empty_one_and_names_that_are_no_text(tmp_path):
    path = tmp_path / "base.json"
    for entries in ({}, {Key("b\n", "\udcff\x1b.tflite", "host64"): measured()}):
        path.write_text(dump(entries), "utf-8")
        assert baseline.load(path).entries.keys() == entries.keys()
    path.write_text(dump({Key("b", "m", "p"): dataclasses.replace(measured(), layers=())}), "utf-8")
    assert baseline.load(path).entries[Key("b", "m", "p")].layers == ()


def test_none_is_no_failure(project):
    absent = baseline.load(project / "none.json")
    assert (absent.exists, absent.entries) == (False, {})
    growing = Budget("b", "build/b.tflite", project, arena_increase=Increase(0))
    outcome = evaluate([growing], absent)
    assert outcome.exit_code == 0
    assert "there is no baseline" in outcome.notes[0]
    assert "--update-baseline" in outcome.notes[0]
    assert evaluate([dataclasses.replace(growing, arena_increase=None, arena_bytes=10**6)], absent).notes == ()


def test_growth_fails_until_it_is_accepted(project):
    path = project / "build" / "b.tflite"
    budget = Budget("b", "build/b.tflite", project, arena_increase=Increase(0))
    path.write_bytes(wide(8))
    stored = store(project, budget)
    assert evaluate([budget], stored).exit_code == 0
    path.write_bytes(wide(9))
    assert evaluate([budget], stored).exit_code == 1
    assert evaluate([budget], stored, accept=True).exit_code == 0
    assert evaluate([budget], store(project, budget)).exit_code == 0


def test_a_new_name_and_another_profile_have_no_figures(project):
    budget = Budget("b", "build/b.tflite", project, arena_increase=Increase(0))
    stored = store(project, budget)
    for other in (dataclasses.replace(budget, name="c"), dataclasses.replace(budget, target="rp2040")):
        outcome = evaluate([other], stored)
        assert outcome.results[0].before is None
        assert "1 of 1 entries" in outcome.notes[0]


def test_figures_of_models_that_cannot_be_read_are_kept(project):
    budget = Budget("b", "build/*.tflite", project, arena_bytes=1)
    stored = store(project, budget)
    (project / "build" / "b.tflite").write_bytes(b"broken")
    outcome = evaluate([budget], stored, accept=True)
    assert any(isinstance(result, Unreadable) for result in outcome.results)
    assert updated(outcome, stored).keys() == stored.entries.keys()


def broken(**changes) -> str:
    content = json.loads(dump({Key("b", "m", "host64"): measured()}))
    for path, value in changes.items():
        *way, last = path.split("__")
        entry = content
        for step in way:
            entry = entry[int(step)] if step.isdigit() else entry[step]
        entry[int(last) if last.isdigit() else last] = value
    return json.dumps(content)


ENTRY = json.loads(broken())["entries"][0]


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "null", "[]", "{}", "[" * 100_000, '{"schema": "sapool.baseline/2"}', "1" * 6000,
        broken(entries=None), broken(entries=[3]), broken(entries=[{}]), broken(columns=None), broken(columns=[]),
        broken(entries=[ENTRY, ENTRY]), broken(entries__0__model=3), broken(entries__0__exact=None),
        broken(entries__0__arena=3), broken(entries__0__arena__total_bytes=-1), broken(entries__0__flash=None),
        broken(entries__0__arena__head_bytes="7"), broken(entries__0__layers=None), broken(entries__0__layers=[3]),
        broken(entries__0__layers__0=[1]), broken(entries__0__layers__0__4=10**30), broken(columns__2=None),
    ],
)  # fmt: skip
def test_a_damaged_one_is_one_clear_error(tmp_path, content):
    path = tmp_path / "base.json"
    path.write_text(content)
    with pytest.raises(FileError) as error:
        baseline.load(path)
    assert str(error.value).startswith(str(path))
    assert error.value.exit_code == 3
    with pytest.raises(FileError):
        baseline.load(tmp_path)
