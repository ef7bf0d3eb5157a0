"""Memory reports as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from types import MappingProxyType

import jsonschema
import pytest
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

from firmware_sim import memreport, profiles, read, targets
from firmware_sim.errors import UsageError
from firmware_sim.report import Style, formats, register, render, schema
from firmware_sim.report.notes import collect

SMALL = read(tflite(small_network()), name="small.tflite")


def pixel_network(scale: float = 1 / 128, zero_point: int = 0, type: str = "INT8") -> Graph:
    return Graph(
        [T([1, 4, 4, 1], type, scale=[scale], zero_point=[zero_point], name="image"),
         T([1, 4, 4, 1], type, scale=[scale], zero_point=[zero_point], name="out")],
        [Op("RELU", [0], [1])], inputs=[0], outputs=[1],
    )  # fmt: skip


def altered(report, **arena):
    return dataclasses.replace(report, arena=dataclasses.replace(report.arena, **arena))


@pytest.fixture(params=[*profiles.names(), *targets.ids()])
def report(request):
    profile, target = targets.resolve(request.param)
    return memreport(SMALL, profile=profile, target=target)


def test_json_meets_the_schema(report):
    jsonschema.Draft202012Validator.check_schema(schema())
    content = json.loads(render(report, "json", notes=["a note"]))
    jsonschema.Draft202012Validator(schema()).validate(content)
    assert content["schema"] == "sapool.memreport/1"
    assert content["notes"] == ["a note"]


def test_json_has_every_field_and_the_schema_asks_for_it(report):
    content = json.loads(render(report, "json"))
    for name in ("model", "profile", "arena", "layers", "buffers", "flash", "target", "notes"):
        broken = {key: value for key, value in content.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema()).validate(broken)
    assert content["arena"]["total_bytes"] == report.arena.total_bytes
    assert [layer["live_bytes"] for layer in content["layers"]] == [layer.live_bytes for layer in report.layers]


def test_unknown_figures_are_null_with_a_reason():
    report = altered(
        memreport(SMALL), minimum_bytes=None, exact=False, inexact=MappingProxyType({"minimum_bytes": "not modelled"})
    )
    content = json.loads(render(report, "json"))
    jsonschema.Draft202012Validator(schema()).validate(content)
    assert content["arena"]["minimum_bytes"] is None
    assert content["arena"]["inexact"] == {"minimum_bytes": "not modelled"}
    assert re.search(r"minimum\s+unknown\s+not exact: not modelled", render(report))


def test_text_shows_the_totals_and_whether_they_are_exact(report):
    text = render(report)
    arena = report.arena
    for label, size in (("total", arena.total_bytes), ("head", arena.head_bytes), ("tail", arena.tail_bytes)):
        assert re.search(rf"^  {label}\s+{size:,} bytes.* exact$", text, re.MULTILINE)


def test_text_marks_the_peak_and_lists_what_is_alive_there(report):
    text = render(report)
    peaks = [layer for layer in report.layers if layer.peak]
    assert len(re.findall(r"^>", text, re.MULTILINE)) == len(peaks) > 0
    for layer in peaks:
        assert f"peak at layer {layer.index} {layer.op}: {layer.live_bytes:,} bytes" in text
        for live in layer.live:
            assert re.search(rf"^\s+{live.offset:,}\s+{live.bytes:,}\s+\S", text, re.MULTILINE)
    longest = max((line for line in text.splitlines() if "#" in line), key=lambda line: line.count("#"))
    assert longest.startswith(">")


def test_bars_are_in_proportion():
    report = memreport(SMALL)
    most = max(layer.live_bytes for layer in report.layers)
    rows = [line for line in render(report).splitlines() if re.match(r"[ >]\s+\d+  [A-Z]", line)]
    assert len(rows) == len(report.layers)
    assert [row.count("#") for row in rows] == [round(20 * layer.live_bytes / most) for layer in report.layers]


def test_text_has_room_for_costs_in_a_wide_terminal():
    report = memreport(SMALL)
    assert "MACs" not in render(report)
    wide = render(report, style=Style(width=130))
    assert re.search(r"^>\s+0  CONV_2D .* 13,824 +248 +features", wide, re.MULTILINE)
    assert f"compute  {sum(layer.macs for layer in report.layers):,} multiply-accumulates" in wide


def test_text_says_what_fits_and_what_does_not():
    report = memreport(SMALL, target="nrf52840")
    assert f"fits nrf52840, {report.target.margin_bytes:,} bytes" in render(report)
    short = dataclasses.replace(report, target=dataclasses.replace(report.target, fits=False, margin_bytes=-5))
    assert "does not fit nrf52840, 5 bytes too much for the arena" in render(short)
    large = dataclasses.replace(report, target=dataclasses.replace(report.target, fits=False))
    assert "too large for its flash" in render(large)
    assert "not exact" in render(altered(report, exact=False)).split("fits nrf52840")[1].splitlines()[0]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_lines_keep_to_the_width(width):
    names = Graph(
        [dataclasses.replace(tensor, name="long/" * 40 + str(i)) for i, tensor in enumerate(small_network().tensors)],
        small_network().operators, [0], [13],
    )  # fmt: skip
    model = read(tflite(names), name="small.tflite")
    text = render(memreport(model, target="stm32f746"), notes=["word " * 60], style=Style(width=width))
    assert max(map(len, text.splitlines())) <= width


def test_names_cannot_reach_the_terminal():
    evil = Graph([T([1, 4], name="a\x1b[2J\n"), T([1, 4], name="b\rc")], [Op("RELU", [0], [1])], [0], [1])
    text = render(memreport(read(tflite(evil), name="x\x1b]0;y\x07.tflite")))
    assert "\x1b" not in text
    assert "\r" not in text
    assert "a?[2J?" in text


def test_colour_only_where_asked_for():
    report = memreport(SMALL, target="stm32f746")
    assert "\x1b" not in render(report)
    coloured = render(report, style=Style(colour=True))
    assert "\x1b[32mfits stm32f746" in coloured
    assert re.sub(r"\x1b\[\d*m", "", coloured) == render(report)


def test_layers_of_several_subgraphs_are_told_apart():
    model = read(tflite(pixel_network(), pixel_network()), name="two.tflite")
    assert re.search(r"^[> ]\s+0:0  RELU", render(memreport(model)), re.MULTILINE)


def test_the_input_that_needs_no_preprocessing_is_named():
    (note,) = collect(read(tflite(pixel_network()), name="m"))
    assert "'image' is int8 = pixel - 128" in note


@pytest.mark.parametrize(
    "graph",
    [pixel_network(scale=0.5), pixel_network(zero_point=-128), pixel_network(type="UINT8"), pixel_network(1 / 127)],
)
def test_other_inputs_are_not(graph):
    assert collect(read(tflite(graph), name="m")) == ()


def test_notes_tell_the_reserve_and_the_limits_of_the_board():
    notes = collect(SMALL, targets.get("esp32-s3"), reserve=targets.Reserve(ram_bytes=4096, flash_bytes=1000))
    assert "4,096 bytes (4.0 KiB) of RAM" in notes[0]
    assert any("ESP-NN" in note for note in notes)


def test_formats_are_found_by_name():
    assert formats()[:2] == ("text", "json")
    with pytest.raises(UsageError, match="formats: text, json"):
        render(memreport(SMALL), "xml")


def test_a_format_is_registered_once(monkeypatch):
    from firmware_sim.report import registry

    monkeypatch.setattr(registry, "_RENDERERS", {})

    @register("length")
    def length(report, notes, style):
        return str(len(report.layers))

    assert render(memreport(SMALL), "length") == "6"
    assert "length" in formats()
    for name in ("length", "json"):
        with pytest.raises(ValueError, match=name):
            register(name)(length)


def test_a_model_without_layers_is_reported():
    empty = Graph([T([1, 4], name="x")], [], [0], [0])
    assert "no layers" in render(memreport(read(tflite(empty), name="empty.tflite")))


def test_the_convolution_is_where_its_bytes_are():
    # 8x8x3 in (192, rounded up to 192) and 8x8x8 out (512) by hand.
    graph = Graph(
        [T([1, 8, 8, 3], name="in"), T([8, 3, 3, 3], data=bytes(216), scale=[0.1] * 8),
         T([8], "INT32", bytes(32), scale=[0.05] * 8), T([1, 8, 8, 8], name="out")],
        [Op("CONV_2D", [0, 1, 2], [3], convolution_options())], [0], [3],
    )  # fmt: skip
    text = render(memreport(read(tflite(graph), name="conv.tflite")))
    assert "peak at layer 0 CONV_2D: 704 bytes alive" in text
