"""The formats csv and markdown: every figure in its place, and names that stay names."""

from __future__ import annotations

import csv
import dataclasses
import io
import re

from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.report import render

SMALL = read(tflite(small_network()), name="small.tflite")


def named(name: str):
    graph = Graph([T([1, 4], name="x"), T([1, 4], name=name)], [Op("RELU", [0], [1])], [0], [1])
    return memreport(read(tflite(graph), name=name))


def test_csv_has_a_row_a_layer():
    report = memreport(SMALL, target="stm32f746")
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"), newline="")))
    assert len(rows) == len(report.layers)
    for row, layer in zip(rows, report.layers, strict=True):
        assert (row["model"], row["profile"], row["target"]) == ("small.tflite", "cortex-m-cmsis-nn-dsp", "stm32f746")
        assert (row["op"], row["name"], int(row["layer"])) == (layer.op, layer.name, layer.index)
        for figure in ("live_bytes", "scratch_bytes", "persistent_bytes", "macs", "weight_bytes"):
            assert int(row[figure]) == getattr(layer, figure)
        assert (row["peak"], row["exact"]) == ("true" if layer.peak else "false", "true")


def test_csv_quotes_names_and_disarms_formulas():
    nasty = 'a,"b"\nc'
    (row,) = csv.DictReader(io.StringIO(render(named(nasty), "csv"), newline=""))
    assert row["name"] == 'a,"b"?c'
    for name in ("=HYPERLINK(1)", "+1", "-1", "@x"):
        (row,) = csv.DictReader(io.StringIO(render(named(name), "csv"), newline=""))
        assert row["name"] == f"'{name}"


def test_layers_that_are_not_exact_say_so_in_csv():
    report = memreport(SMALL)
    doubtful = dataclasses.replace(report.layers[0], inexact={"live_bytes": "a doubt"})
    report = dataclasses.replace(report, layers=(doubtful, *report.layers[1:]))
    rows = list(csv.DictReader(io.StringIO(render(report, "csv"), newline="")))
    assert [row["exact"] for row in rows] == ["false", *["true"] * (len(rows) - 1)]


def cells(line: str) -> list[str]:
    return [cell.strip().replace("\\_", "_") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown_has_the_totals_and_all_layers():
    report = memreport(SMALL, target="nrf52840")
    lines = render(report, "markdown", notes=["a note"]).splitlines()
    tables = [cells(line) for line in lines if line.startswith("|")]
    assert all(len(row) in (3, 6, 8) for row in tables)
    for layer in report.layers:
        number = f"**{layer.index}**" if layer.peak else str(layer.index)
        figures = (layer.live_bytes, layer.scratch_bytes, layer.persistent_bytes, layer.macs, layer.weight_bytes)
        assert [number, layer.op, layer.name, *(f"{figure:,}" for figure in figures)] in tables
    totals = {row[0]: row[1:] for row in tables if len(row) == 3}
    assert totals["arena, total"][0].split(" bytes")[0] == f"{report.arena.total_bytes:,}"
    assert totals["arena, total"][1] == "exact"
    for region in report.target.regions:
        figures = (region.size_bytes, region.used_bytes, region.reserved_bytes)
        assert [region.name, region.kind, *(f"{figure:,}" for figure in figures), "yes"] in tables
    assert "> a note" in lines
    assert any(line.startswith("- **peak 0 CONV") for line in lines)


def test_markdown_keeps_names_from_being_markup():
    text = render(named("<img src=x>|`a`*b*_c_[d](e)@everyone~~f~~"), "markdown")
    assert "<img" not in text
    assert "@everyone" not in text
    assert r"&lt;img src=x&gt;\|\`a\`\*b\*\_c\_\[d\](e)&#64;everyone\~\~f\~\~" in text
    rows = [cells(line) for line in text.splitlines() if line.startswith("| **0**")]
    assert [len(row) for row in rows] == [8]
