"""The arena map and the page around it: well formed, true to scale, safe, self-contained, and drawn by a browser."""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
import zlib
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, profiles, read
from firmware_sim.errors import ModelError
from firmware_sim.report import render

SVG = "{http://www.w3.org/2000/svg}"
XHTML = "{http://www.w3.org/1999/xhtml}"
HOSTILE = "</title></svg><script>alert(1)</script>\"' onload='x' &amp; ]]> \x00\x1b[2J\ud800\ufffe"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def report_of(*graphs: Graph, name: str = "model.tflite", **options: str):
    return memreport(read(tflite(*graphs), name=name), **options)


def hostile_report(**options: str):
    """Names as a file could hold them; lone surrogates cannot be written to one, so they are put in afterwards."""
    report = report_of(small_network(), name=HOSTILE, **options)
    buffers = tuple(dataclasses.replace(buffer, name=HOSTILE) for buffer in report.buffers)
    layers = tuple(
        dataclasses.replace(
            layer, name=HOSTILE, live=tuple(dataclasses.replace(entry, tensor=HOSTILE) for entry in layer.live)
        )
        for layer in report.layers
    )
    return dataclasses.replace(report, buffers=buffers, layers=layers)


def parsed(report, format: str = "svg", **options) -> ElementTree.Element:
    content = render(report, format, **options)
    return ElementTree.fromstring(content.removeprefix("<!DOCTYPE html>\n"))


def drawn(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [element for element in root.iter(f"{SVG}rect") if "buffer" in element.get("class", "").split()]


def figures(rectangle: ElementTree.Element, *names: str) -> list[float]:
    return [float(rectangle.get(name, "nan")) for name in names]


def check_map(root: ElementTree.Element, report) -> None:
    """Every buffer is there, and one scale a direction explains all rectangles."""
    rectangles = drawn(root)
    data = [tuple(int(r.get(f"data-{name}", "")) for name in ("offset", "bytes", "first", "last")) for r in rectangles]
    assert data == [(b.offset, b.bytes, b.first, b.last) for b in report.buffers]
    grid = [element for element in root.iter(f"{SVG}line") if element.get("class") == "grid"]
    floor = max(float(element.get("y1", "nan")) for element in grid)
    left, right = float(grid[0].get("x1", "nan")), float(grid[0].get("x2", "nan"))
    start = min([0, *(b.first for b in report.buffers)])
    end = max([0, *(b.last for b in report.buffers), *(layer.time for layer in report.layers)])
    column = (right - left) / (end - start + 1)
    tall = max(report.buffers, key=lambda b: b.bytes)
    (height,) = figures(rectangles[report.buffers.index(tall)], "height")
    per_byte = height / tall.bytes
    for rectangle, buffer in zip(rectangles, report.buffers, strict=True):
        x, y, width, height = figures(rectangle, "x", "y", "width", "height")
        assert height == pytest.approx(buffer.bytes * per_byte, abs=0.03)
        assert floor - y == pytest.approx((buffer.offset + buffer.bytes) * per_byte, abs=0.6)
        assert x == pytest.approx(left + (buffer.first - start) * column, abs=0.03)
        assert width == pytest.approx((buffer.last - buffer.first + 1) * column, abs=0.03)
        assert rectangle.findtext(f"{SVG}title", "").endswith(
            f"{buffer.bytes:,} bytes at offset {buffer.offset:,}, from time {buffer.first} to {buffer.last}"
        )
        alive = any(buffer.first <= layer.time <= buffer.last for layer in report.layers if layer.peak)
        assert ("at-peak" in rectangle.get("class", "").split()) is alive
    bands = [element for element in root.iter(f"{SVG}rect") if element.get("class") == "band"]
    peaks = [layer for layer in report.layers if layer.peak]
    assert [figures(band, "x", "width") for band in bands] == [
        [pytest.approx(left + (layer.time - start) * column, abs=0.03), pytest.approx(column, abs=0.03)]
        for layer in sorted(peaks, key=lambda layer: layer.time)
    ]


@pytest.mark.parametrize("profile", profiles.names())
def test_every_buffer_is_a_rectangle_to_scale(profile):
    report = report_of(small_network(), profile=profile)
    check_map(parsed(report), report)


def test_the_rectangles_do_not_overlap():
    report = report_of(small_network(), profile="cortex-m-cmsis-nn-dsp")
    boxes = [figures(rectangle, "x", "y", "width", "height") for rectangle in drawn(parsed(report))]
    for index, (x, y, width, height) in enumerate(boxes):
        for other_x, other_y, other_width, other_height in boxes[index + 1 :]:
            apart_in_time = x + width <= other_x + 0.02 or other_x + other_width <= x + 0.02
            apart_in_space = y + height <= other_y + 0.02 or other_y + other_height <= y + 0.02
            assert apart_in_time or apart_in_space


@pytest.mark.parametrize("path", sorted(MODELS.glob("m*/*.tflite")) or [None], ids=lambda path: path and path.stem)
def test_real_models_are_drawn_to_scale(path):
    if path is None:
        pytest.skip("needs the folder 'shared' beside the checkout")
    try:
        report = memreport(read(path), profile="cortex-m-cmsis-nn-dsp")
    except ModelError as error:
        pytest.skip(f"TFLM refuses the model: {error.message.splitlines()[0]}")
    check_map(parsed(report), report)


def test_models_with_nothing_to_draw_are_drawn():
    empty = report_of(Graph([T([1, 4], name="x")], [], [0], [0]))
    check_map(parsed(empty), empty)
    constant = report_of(Graph([T([4], data=bytes(4)), T([4], name="y")], [Op("RELU", [0], [1])], [], []))
    assert len(drawn(parsed(constant, "html"))) == len(constant.buffers)


@pytest.mark.parametrize("format", ["svg", "html"])
@pytest.mark.parametrize("target", ["stm32f746", None])
def test_names_from_files_stay_text(format, target):
    content = render(hostile_report(target=target), format, notes=[HOSTILE])
    root = ElementTree.fromstring(content.removeprefix("<!DOCTYPE html>\n"))
    assert not [element for element in root.iter() if element.tag.rpartition("}")[2] in {"script", "img", "iframe"}]
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    assert "<script" not in content
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", content)
    titles = [element.findtext(f"{SVG}title", "") for element in drawn(root)]
    assert all(
        title.startswith("</title></svg><script>alert(1)</script>\"' onload='x' &amp; ]]> ??[2J") for title in titles
    )


@pytest.mark.parametrize("format", ["svg", "html"])
def test_nothing_is_loaded_from_elsewhere(format):
    content = render(report_of(small_network(), target="nrf52840"), format)
    assert set(re.findall(r"\w+://[^\"' ]+", content)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}
    assert not re.search(r"@import|url\(|src=|href=|<script|<link", content)
    if format == "html":
        assert "default-src 'none'" in content


def test_the_page_has_every_figure_of_the_layers_and_one_of_each_id():
    report = report_of(small_network(), target="stm32f746")
    root = parsed(report, "html", notes=["a note"])
    rows = [[cell.text for cell in row.iter(f"{XHTML}td")] for row in root.iter(f"{XHTML}tr")]
    for layer in report.layers:
        sizes = (layer.live_bytes, layer.scratch_bytes, layer.persistent_bytes, layer.macs, layer.weight_bytes)
        op = f"{layer.op} (peak)" if layer.peak else layer.op
        assert [str(layer.index), op, layer.name, *(f"{size:,}" for size in sizes)] in rows
    assert "a note" in "".join(root.itertext())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 4
    for image in root.iter(f"{SVG}svg"):
        assert image.get("role") == "img"
        assert set(image.get("aria-labelledby", "").split()) <= set(ids)


def test_bars_are_to_scale_and_add_up():
    report = report_of(small_network(), profile="cortex-m-cmsis-nn-dsp")
    bars = list(parsed(report, "html").iter(f"{SVG}svg"))[1]
    rows: dict[str, list[ElementTree.Element]] = {}
    for rectangle in bars.iter(f"{SVG}rect"):
        if "bar" in rectangle.get("class", "").split():
            rows.setdefault(rectangle.get("y", ""), []).append(rectangle)
    most = max(layer.live_bytes for layer in report.layers)
    lengths = []
    for layer, row in zip(report.layers, rows.values(), strict=True):
        live = [r for r in row if r.get("class", "").split()[1] in {"output", "input", "scratch", "waiting"}]
        for one, next_ in pairwise(live):
            assert sum(figures(one, "x", "width")) == pytest.approx(figures(next_, "x")[0], abs=0.02)
        lengths.append(sum(figures(r, "width")[0] for r in live) / layer.live_bytes)
        assert len([r for r in row if "macs" in r.get("class", "")]) == (layer.macs > 0)
    assert lengths == pytest.approx([lengths[0]] * len(lengths), rel=0.02)
    assert max(lengths) * most == pytest.approx(330, abs=0.1)


def pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and rows of an 8-bit RGB or RGBA PNG, unfiltered (https://www.w3.org/TR/png-3/#9Filters)."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind in (2, 6)) == (8, True)
    size = 3 if kind == 2 else 4
    data, position = b"", 8
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        if png[position + 4 : position + 8] == b"IDAT":
            data += png[position + 8 : position + 8 + length]
        position += length + 12
    data = zlib.decompress(data)
    rows, previous = [], bytearray(width * size)
    for start in range(0, len(data), width * size + 1):
        row = bytearray(data[start + 1 : start + 1 + width * size])
        _unfilter(data[start], row, previous, size)
        rows.append(bytes(row) if size == 3 else bytes(b for i, b in enumerate(row) if i % 4 != 3))
        previous = row
    return width, height, rows


def _unfilter(kind: int, row: bytearray, above: bytearray, size: int) -> None:
    if kind == 0:
        return
    for i in range(len(row)):
        left = row[i - size] if i >= size else 0
        corner = above[i - size] if i >= size else 0
        if kind == 4:
            guess = left + above[i] - corner
            nearest = min((abs(guess - value), order, value) for order, value in enumerate((left, above[i], corner)))[2]
        else:
            nearest = (0, left, above[i], (left + above[i]) // 2)[kind]
        row[i] = (row[i] + nearest) & 255


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the path")
def test_a_browser_draws_the_map(tmp_path: Path):
    """Each rectangle has its colour where the file says it is, the peak's where a buffer is alive there."""
    assert CHROMIUM is not None
    report = report_of(small_network(), profile="cortex-m-cmsis-nn-dsp")
    source, image = tmp_path / "map.svg", tmp_path / "map.png"
    source.write_text(render(report, "svg"), encoding="utf-8")
    subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-sync", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=960,800",
            f"--screenshot={image}", source.as_uri(),
        ],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    width, height, rows = pixels(image.read_bytes())
    assert (width, height) == (960, 800)
    colours = {"at-peak": "f3a464", "tensor": "a9c7ee", "scratch": "cbb8ee"}
    for rectangle, buffer in zip(drawn(parsed(report)), report.buffers, strict=True):
        x, y, w, h = figures(rectangle, "x", "y", "width", "height")
        if min(w, h) < 6:
            continue
        # The lower right corner, which no label reaches.
        column, row = int(x + w - 3), int(y + h - 3)
        colour = rows[row][3 * column : 3 * column + 3].hex()
        assert colour == colours[rectangle.get("class", "").split()[1]], f"{buffer.name} at {column}, {row}"
