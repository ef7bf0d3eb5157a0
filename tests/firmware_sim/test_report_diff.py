"""Two reports compared: totals, the pairing of layers, damaged files, and the three formats."""

from __future__ import annotations

import dataclasses
import json
import time

import jsonschema
import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import FileError, UsageError
from firmware_sim.report import Style, diff, render


def chain(sizes: list[int], names: list[str] | None = None, ops: list[str] | None = None) -> Graph:
    names = names or [f"t{index}" for index in range(len(sizes))]
    return Graph(
        [T([1, size], name=name) for size, name in zip(sizes, names, strict=True)],
        [Op((ops or ["RELU"] * len(sizes))[i], [i], [i + 1]) for i in range(len(sizes) - 1)],
        inputs=[0], outputs=[len(sizes) - 1],
    )  # fmt: skip


def report_of(graph: Graph, name: str = "m.tflite", **options: str):
    return memreport(read(tflite(graph), name=name), **options)


def compared(before: Graph, after: Graph) -> diff.Difference:
    return diff.compare(diff.from_report(report_of(before)), diff.from_report(report_of(after, "n.tflite")))


def kinds(difference: diff.Difference) -> list[tuple[str, str]]:
    return [(change.kind, change.layer.name) for change in difference.layers]


def test_nothing_changes_against_itself():
    difference = compared(small_network(), small_network())
    assert {change.kind for change in difference.layers} == {"same"}
    assert {figure.change for figure in difference.figures} == {0}
    assert difference.largest() == []
    text = diff.render(difference)
    assert "Layers: 0 grew, 0 shrank, 0 added, 0 removed, 6 as before." in text


def test_a_wider_layer_shows_where_it_is_alive():
    difference = compared(chain([64, 64, 64, 64]), chain([64, 64, 96, 64]))
    assert [change.change("live_bytes") for change in difference.layers] == [0, 32, 32]
    assert kinds(difference) == [("same", "t1"), ("changed", "t2"), ("changed", "t3")]
    figures = {figure.name: figure for figure in difference.figures}
    assert (figures["head_bytes"].before, figures["head_bytes"].after) == (128, 160)
    text = diff.render(difference)
    assert "Layers: 2 grew, 0 shrank, 0 added, 0 removed, 1 as before." in text
    assert "+25.0 %" in text


def test_layers_come_and_go():
    longer = chain([64, 64, 64, 64], ["a", "b", "new", "c"])
    shorter = chain([64, 64, 64], ["a", "b", "c"])
    assert kinds(compared(shorter, longer)) == [("same", "b"), ("added", "new"), ("same", "c")]
    assert kinds(compared(longer, shorter)) == [("same", "b"), ("same", "c"), ("removed", "new")]
    first = compared(longer, shorter).layers[0]
    assert first.change("persistent_bytes") != 0, "padding that moved, which does not make it another layer"
    gone = compared(longer, shorter).layers[-1]
    assert (gone.change("live_bytes"), gone.after) == (-128, None)


def test_other_names_are_paired_by_operator_in_order():
    ops = ["RELU", "RELU6", "RELU"]
    difference = compared(chain([64] * 4, list("abcd"), ops), chain([64, 64, 80, 64], list("wxyz"), ops))
    pairs = [(change.before.name, change.after.name) for change in difference.layers if change.before and change.after]
    assert pairs == [("b", "x"), ("c", "y"), ("d", "z")]
    assert [change.kind for change in difference.layers] == ["same", "changed", "changed"]


def test_names_go_before_order():
    """A layer put in front takes the place, but not the partner, of the one that was there."""
    difference = compared(chain([64, 64, 64], ["a", "b", "c"]), chain([64, 64, 64, 64], ["a", "new", "b", "c"]))
    assert kinds(difference) == [("added", "new"), ("same", "b"), ("same", "c")]


@pytest.mark.parametrize("profile", ["host64", "cortex-m-cmsis-nn-mve"])
def test_a_report_and_its_json_are_the_same_side(profile):
    report = report_of(small_network(), profile=profile)
    stored = diff.from_json(render(report, "json").encode(), "r.json")
    assert stored == diff.from_report(report)
    assert stored.figures["macs"] == sum(layer.macs for layer in report.layers)
    assert stored.figures["model_bytes"] == report.model.bytes
    assert diff.from_json(b"[" + render(report, "json").encode() + b"]", "r.json") == stored


def test_unknown_figures_stay_unknown():
    report = report_of(small_network())
    arena = dataclasses.replace(report.arena, minimum_bytes=None, exact=False, inexact={"minimum_bytes": "a reason"})
    side = diff.from_report(dataclasses.replace(report, arena=arena))
    difference = diff.compare(side, diff.from_report(report))
    (figure,) = [figure for figure in difference.figures if figure.name == "minimum_bytes"]
    assert (figure.before, figure.change) == (None, None)
    text = diff.render(difference)
    assert "unknown" in text
    assert "The figures before are not exact" in text


def test_other_profiles_are_said():
    sides = [diff.from_report(report_of(small_network(), profile=name)) for name in ("host64", "cortex-m-reference")]
    for format in ("text", "markdown"):
        assert "The profiles differ (host64, cortex-m-reference)" in diff.render(diff.compare(*sides), format)


def broken(**changes) -> bytes:
    content = json.loads(render(report_of(small_network()), "json"))
    for path, value in changes.items():
        *way, last = path.split("__")
        entry = content
        for step in way:
            entry = entry[int(step)] if step.isdigit() else entry[step]
        entry[last] = value
    return json.dumps(content).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"{", b"null", b"[]", b"[1]", b"{}", b"[" * 100_000, b'{"schema": "other/1"}', b"1" * 6000,
        broken(schema="sapool.memreport/2"), broken(layers=None), broken(layers=[3]), broken(arena=[]),
        broken(arena__total_bytes="7"), broken(arena__total_bytes=-1), broken(arena__head_bytes=1.5),
        broken(arena__head_bytes=True), broken(arena__tail_bytes=10**30), broken(arena__exact="yes"),
        broken(model__path=3), broken(profile=None), broken(flash__model_bytes=None), broken(layers__0__macs=None),
        broken(layers__0__op=None), broken(layers=[{}] * 100_001),
    ],
)  # fmt: skip
def test_damaged_reports_are_one_clear_error(content):
    with pytest.raises(FileError) as caught:
        diff.from_json(content, "r.json")
    assert caught.value.where == "r.json"
    assert caught.value.exit_code == 3


def test_large_reports_are_paired_in_linear_time():
    side = diff.from_report(report_of(chain([16, 16])))
    many = tuple(dataclasses.replace(side.layers[0], layer=number, name="same") for number in range(50_000))
    start = time.perf_counter()
    difference = diff.compare(dataclasses.replace(side, layers=many), dataclasses.replace(side, layers=many[::-1]))
    assert time.perf_counter() - start < 5
    assert {change.kind for change in difference.layers} == {"same"}


def test_json_meets_its_schema():
    difference = compared(small_network(), chain([64, 64]))
    jsonschema.Draft202012Validator.check_schema(diff.schema())
    content = json.loads(diff.render(difference, "json"))
    jsonschema.Draft202012Validator(diff.schema()).validate(content)
    assert len(content["layers"]) == 7
    assert [layer["kind"] for layer in content["layers"]] == ["added", *["removed"] * 6]
    for name, figure in content["figures"].items():
        assert figure["change"] == figure["after"] - figure["before"], name


def test_markdown_lists_what_differs_and_keeps_names_text():
    before = chain([64, 64, 64], ["a", "<b>|c", "d"])
    text = diff.render(compared(before, chain([64, 128, 64], ["a", "<b>|c", "d"])), "markdown")
    assert "<b>" not in text
    assert "| 0 | changed | RELU | &lt;b&gt;\\|c | +64 | 0 | 0 | 0 |" in text
    assert "<summary>2 layers differ</summary>" in text


@pytest.mark.parametrize("width", [100, 140])
def test_text_keeps_to_the_width_and_to_the_largest(width):
    names = [f"{'long/' * 30}{index}\x1b[2J" for index in range(40)]
    text = diff.render(compared(chain([16] * 40, names), chain([32] * 40, names)), style=Style(width=width))
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    assert "and 19 more; json has all of them" in text


def test_an_unknown_format_is_a_usage_error():
    with pytest.raises(UsageError, match="formats: text, json, markdown"):
        diff.render(compared(chain([16, 16]), chain([16, 16])), "svg")
