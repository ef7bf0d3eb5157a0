"""Layers in bands of rows: geometry, the files, plans, search, reports; outputs are those of TFLM and LiteRT."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shared import MODELS
from support.band_nets import BOTTLENECKS, Layer, network
from support.random_bands import layers, outputs, random_bandings
from support.tflite_files import Graph, Op, T, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import InternalError, UsageError
from firmware_sim.memory.offline import RECORD
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import plan
from firmware_sim.overlap.replay import replay
from firmware_sim.overlap.standing import standing
from firmware_sim.overlap.views import View, views
from firmware_sim.overlap.windows import same_padding
from firmware_sim.planners.problem import Problem
from firmware_sim.planners.solve import solve
from firmware_sim.profiles import get
from firmware_sim.report.bands import BandsReport, formats, render
from firmware_sim.report.bands.json import schema
from firmware_sim.rewrite.bands.build import Banding, banded
from firmware_sim.rewrite.bands.geometry import Padded, Rows, Window
from firmware_sim.rewrite.bands.pricing import Pricer
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.bands.search import ladder
from firmware_sim.rewrite.bands.stage import cuts
from firmware_sim.rewrite.draft import Draft, finish, model_of, open_draft
from firmware_sim.rewrite.proof import Proof, prove
from firmware_sim.rewrite.shrink import shrink
from firmware_sim.run.litert import LiteRt
from firmware_sim.run.tflm import Tflm

LIBRARIES = ("reference", "cmsis-nn", "cmsis-nn-dsp", "cmsis-nn-mve")


def convolved(image: np.ndarray, weights: np.ndarray, window: Window) -> np.ndarray:
    """A convolution along the height, as the kernels compute it: `image` is padded by itself, whatever it is cut from."""
    rows = len(image)
    if window.is_same:
        out = -(-rows // window.stride)
        pad = same_padding(rows, out, window.kernel, window.stride, window.dilation)
    else:
        out, pad = (rows - window.span) // window.stride + 1, 0
    result = np.zeros(out)
    for row, tap in product(range(out), range(window.kernel)):
        at = row * window.stride - pad + tap * window.dilation
        result[row] += weights[tap] * image[at] if 0 <= at < rows else 0
    return result


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kernel, stride, dilation = draw(st.integers(1, 7)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    is_same = draw(st.booleans())
    span = (kernel - 1) * dilation + 1
    size = draw(st.integers(1 if is_same else span, 30))
    if is_same:
        out = -(-size // stride)
        return Window(size, out, kernel, stride, dilation, same_padding(size, out, kernel, stride, dilation), True)
    return Window(size, (size - span) // stride + 1, kernel, stride, dilation, 0, False)


@given(windows(), st.data())
@settings(deadline=None, max_examples=120)
def test_rows_of_a_band_are_those_of_the_whole_image(window: Window, data: st.DataObject):
    image = np.random.default_rng(0).normal(size=window.size)
    weights = np.random.default_rng(1).normal(size=window.kernel)
    whole = convolved(image, weights, window)
    start = data.draw(st.integers(0, window.out - 1))
    wanted = Rows(start, data.draw(st.integers(start + 1, window.out)))
    band = window.band(wanted)
    rows = window.computed(band)
    assert rows is not None
    assert window.right(band).holds(wanted)
    got = convolved(image[band.start : band.end], weights, window)
    assert len(got) == rows.height
    right = window.right(band)
    np.testing.assert_allclose(
        got[right.start - rows.start : right.end - rows.start], whole[right.start : right.end], atol=1e-9
    )
    assert band.height == min(
        end - first
        for first in range(window.size)
        for end in range(first + 1, window.size + 1)
        if window.computed(Rows(first, end)) is not None and window.right(Rows(first, end)).holds(wanted)
    )


def test_padding_goes_to_the_bands_at_the_border():
    padded = Padded(size=10, out=14, top=3)
    assert padded.band(Rows(0, 5)) == Rows(0, 2)
    assert padded.computed(Rows(0, 2)) == Rows(0, 5)
    assert padded.band(Rows(4, 14)) == Rows(1, 10)
    assert padded.computed(Rows(1, 10)) == Rows(4, 14)
    assert padded.band(Rows(0, 2)) == Rows(0, 1)


def planned(draft: Draft, kernels: str) -> bytes:
    found = plan(model_of(draft), kernels, time_s=0.2)
    numbers = sorted(draft.graphs[0].tensors)
    offsets = {numbers[number]: offset for number, offset in found.offsets[0].items()}
    return finish(replace(draft, offsets=(offsets,), metadata={RECORD: stored.record(kernels, bands="explicit")}))


@pytest.mark.oracle
@given(layers(), st.integers(5, 17), st.integers(0, 99), st.sampled_from(LIBRARIES), st.data())
@settings(deadline=None, max_examples=20)
def test_any_bands_compute_what_the_layers_compute(
    chain: list[Layer], height: int, seed: int, kernels: str, data: st.DataObject
):
    pytest.importorskip("tflite_micro")
    pytest.importorskip("ai_edge_litert")
    content = network(chain, height=height, seed=seed)
    draft = open_draft(content)
    changed = draft.with_graph(0, banded(draft.graphs[0], random_bandings(draft, data)))
    images = [np.random.default_rng(n).integers(-128, 128, (1, height, 6, 3), np.int8) for n in range(2)]
    expected = outputs(Tflm(content), images)
    assert outputs(LiteRt(finish(changed)), images) == expected
    assert outputs(Tflm(finish(changed)), images) == expected
    file = planned(changed, kernels)
    model = read(file)
    assert stored.damages(model, kernels) == ()
    if not stored.damages(model, "reference"):
        twice = Tflm(file)
        assert outputs(twice, images * 2) == expected * 2
        report = memreport(model, profile="host64")
        assert report.arena.head_bytes == twice.arena.head_bytes
        assert report.arena.total_bytes == twice.arena.total_bytes


def stage_of(content: bytes, first: int, last: int, heights: tuple[int, ...], upward: bool = False) -> bytes:
    draft = open_draft(content)
    stage = cuts(draft.graphs[0]).stage(first, last)
    assert stage is not None
    return planned(
        draft.with_graph(0, banded(draft.graphs[0], [Banding(stage, heights, upward, stage.late)])), "reference"
    )


@pytest.mark.oracle
def test_the_smallest_arena_is_what_tflm_takes():
    pytest.importorskip("tflite_micro")
    file = stage_of(network(BOTTLENECKS, height=32, width=32), 0, 4, (2, 3, 3))
    least = memreport(read(file)).arena.minimum_bytes
    assert least is not None
    Tflm(file, least)
    with pytest.raises(UsageError, match="too small"):
        Tflm(file, least - 16)


def test_more_bands_than_a_concatenation_takes_are_joined_in_groups():
    content = network([Layer("conv", 3, 1, 4), Layer("conv", 1, 1, 4)], height=24)
    subgraph = read(stage_of(content, 0, 1, (1,) * 24)).subgraphs[0]
    joins = [operator for operator in subgraph.operators if operator.op == "CONCATENATION"]
    assert [len(operator.inputs) for operator in joins] == [8, 8, 8, 3]
    assert all(view.root in (0, subgraph.outputs[0], index) for index, view in views(subgraph, subgraph.tensors).items()
               if subgraph.tensors[index].name.startswith(("image;", "map6;rows")))  # fmt: skip


def test_untouched_parts_of_the_file_stay():
    content = network(BOTTLENECKS, height=32, width=32)
    before, after = read(content), read(stage_of(content, 0, 4, (4, 4)))
    old = {tensor.name: tensor for tensor in before.subgraphs[0].tensors}
    kept = [tensor for tensor in after.subgraphs[0].tensors if tensor.name in old]
    assert len(kept) > 20
    for tensor in kept:
        other = old[tensor.name]
        assert (tensor.shape, tensor.quantization, tensor.type) == (other.shape, other.quantization, other.type)
        assert tensor.data == other.data
    parts = [tensor for tensor in after.subgraphs[0].tensors if ";band" in tensor.name]
    assert all(tensor.quantization == old[tensor.name.partition(";")[0]].quantization for tensor in parts)


def test_slices_lie_in_what_they_are_cut_from_and_parts_in_what_they_make():
    slice_of = lambda shape, begin: (  # noqa: E731
        T([4], "INT32", np.array(begin, np.int32).tobytes(), scale=()),
        T([4], "INT32", np.array(shape, np.int32).tobytes(), scale=()),
    )
    graph = Graph(
        [
            T([1, 8, 4, 2]), *slice_of([1, 3, 4, 2], [0, 2, 0, 0]), T([1, 3, 4, 2]),
            *slice_of([1, 8, 2, 2], [0, 0, 1, 0]), T([1, 8, 2, 2]), T([1, 3, 4, 2]), T([1, 6, 4, 2]),
        ],
        [
            Op("SLICE", [0, 1, 2], [3]),
            Op("SLICE", [0, 4, 5], [6]),
            Op("RELU", [3], [7]),
            Op("CONCATENATION", [7, 3], [8], ("ConcatenationOptions", {"axis": 1})),
        ],
        inputs=[0],
        outputs=[6, 8],
    )  # fmt: skip
    subgraph = read(tflite(graph)).subgraphs[0]
    found = views(subgraph, subgraph.tensors)
    assert found[7] == View(8, 0)
    assert found[3] == View(8, 24)  # both would do; what is put together comes first
    assert found[6] == View(6, 0)  # columns are no run of bytes
    assert views(subgraph, subgraph.tensors, {"cuts"})[3] == View(0, 16)
    # A slice may be written over what it is read from as long as nothing is written ahead of what is read.
    places = {0: 0, 3: 16, 6: 200, 7: 100, 8: 128}
    assert replay(subgraph, subgraph.tensors, {**places, 3: 8, 7: 300, 8: 304}, "any") != ()
    assert replay(subgraph, subgraph.tensors, {0: 0, 3: 256, 6: 64, 7: 128, 8: 320}, "any") == ()
    assert replay(subgraph, subgraph.tensors, {0: 0, 3: 20, 6: 64, 7: 128, 8: 320}, "any")[0].victim == 0


@given(st.lists(st.integers(1, 3), min_size=2, max_size=4), st.data())
@settings(deadline=None, max_examples=40)
def test_search_bears_distances_below_zero(sizes: list[int], data: st.DataObject):
    count = len(sizes)
    apart: dict[tuple[int, int], int] = {}
    for one, other in product(range(count), repeat=2):
        if one < other and data.draw(st.booleans()):
            for key in ((one, other), (other, one)):
                apart[key] = 16 * data.draw(st.integers(-2, sizes[key[1]]))
    puzzle = Problem(tuple(16 * size for size in sizes), apart)
    highest = 16 * sum(sizes)
    plans = product(*(range(0, highest - size + 1, 16) for size in puzzle.sizes_bytes))
    least = min(puzzle.peak_bytes(one) for one in plans if puzzle.is_kept(one))
    solution = solve(puzzle, time_s=5, use_cpsat=False)
    assert solution.peak_bytes == solution.bound_bytes == least


@pytest.fixture(scope="module")
def found() -> tuple[bytes, BandsReport]:
    pytest.importorskip("tflite_micro")
    content = network(BOTTLENECKS, height=40, width=40)
    result = bands(content, kernels="reference", max_extra_macs=0.3, name="a <model>.tflite")
    return content, BandsReport(result, Proof(100, 1, 2), prove_tensors(content, result.shrunk.content, name="m"))


@pytest.mark.oracle
def test_bands_need_less_than_any_plan_without(found: tuple[bytes, BandsReport]):
    content, report = found
    banded_, shrunk = report.banded, report.banded.shrunk
    plain = Pricer(open_draft(content), "reference", get("host64")).price(())
    assert plain is not None
    assert shrunk.after.arena.total_bytes < plain.total_bytes
    assert shrunk.after.arena.head_bytes < 0.6 * shrunk.before.arena.head_bytes
    assert sum(layer.macs for layer in shrunk.after.layers) <= 1.3 * banded_.macs
    assert banded_.operators == ("CONCATENATION", "SLICE")
    assert Tflm(shrunk.content).arena.total_bytes == shrunk.after.arena.total_bytes
    assert report.tensors is not None
    assert report.tensors.compared == report.tensors.tensors > 2
    arenas = [rung.arena_bytes for rung in banded_.rungs]
    assert arenas == sorted(arenas, reverse=True)
    assert [rung.chosen for rung in banded_.rungs].count(True) == 1


@pytest.mark.oracle
def test_a_marked_file_without_its_plan_does_not_hold(found: tuple[bytes, BandsReport]):
    model = read(found[1].banded.shrunk.content)
    assert stored.recorded_bands(model) == "explicit"
    here = standing(model, get("host64"))
    assert here is not None
    assert here.holds
    lost = standing(replace(model, metadata={RECORD: model.metadata[RECORD]}), get("host64"))
    assert lost is not None
    assert not lost.holds
    assert "in bands" in lost.text


@pytest.mark.oracle
def test_a_wrong_tensor_between_the_layers_is_found(found: tuple[bytes, BandsReport]):
    content = found[0]
    draft = open_draft(content)
    graph = draft.graphs[0]
    other = replace(graph.operators[2], inputs=(*graph.operators[2].inputs[:2], graph.operators[5].inputs[2]))
    wrong = finish(draft.with_graph(0, replace(graph, operators=(*graph.operators[:2], other, *graph.operators[3:]))))
    if graph.tensors[other.inputs[2]].shape != graph.tensors[graph.operators[2].inputs[2]].shape:
        shifted = graph.tensors[graph.operators[2].inputs[2]]
        data = np.roll(np.frombuffer(shifted.data or b"", np.int32) + 40, 1).tobytes()
        tensors = {**graph.tensors, shifted.index: replace(shifted, data=memoryview(data), buffer=-1)}
        wrong = finish(draft.with_graph(0, replace(graph, tensors=tensors)))
    with pytest.raises(InternalError, match="differs"):
        prove_tensors(content, wrong, name="m")


@pytest.mark.oracle
def test_reports(found: tuple[bytes, BandsReport]):
    report = found[1]
    text = render(report)
    assert "rows as" in text
    assert "register in the op resolver as well: CONCATENATION, SLICE" in text
    data = json.loads(render(report, "json"))
    jsonschema.Draft202012Validator(schema()).validate(data)
    assert list(schema()["properties"]) == list(data)
    assert sum(data["stages"][0]["heights"]) == data["stages"][0]["rows"]
    ElementTree.fromstring(render(report, "html").partition("\n")[2])
    ElementTree.fromstring(render(report, "svg"))
    stages = report.banded.stages
    picture = ElementTree.fromstring(render(report, "flow"))
    titles = [element.text for element in picture.iter() if element.tag.endswith("title")]
    assert len(titles) == 1 + sum(len(one.heights) * (one.operators + 1) for one in stages)
    assert formats()[0] == "text"
    with pytest.raises(UsageError, match="unknown format"):
        render(report, "pdf")


@pytest.mark.oracle
def test_an_arena_is_reached_with_the_fewest_multiplications(found: tuple[bytes, BandsReport]):
    content, report = found
    best = report.banded.rungs[-1]
    target = (report.banded.rungs[0].arena_bytes + best.arena_bytes) // 2
    result = bands(content, kernels="reference", max_extra_macs=0.3, arena_bytes=target)
    chosen = next(rung for rung in result.rungs if rung.chosen)
    assert chosen.arena_bytes <= target
    assert all(rung.macs >= chosen.macs for rung in result.rungs if rung.arena_bytes <= target)


@pytest.mark.oracle
@pytest.mark.parametrize("type", ["INT8", "INT16"])
@pytest.mark.parametrize(
    "layers",
    [
        BOTTLENECKS,
        [Layer("conv", 3, 1, 8), Layer("avg", 2, 2), Layer("conv", 3, 1, 8), Layer("avg", 3, 3)],
        [Layer("conv", 3, 1, 8, dilation=2), Layer("max", 2, 2), Layer("dw", 3, dilation=3), Layer("conv", 1, 2, 4)],
        [Layer("conv", 3, 1, 8), Layer("pad", 1), Layer("conv", 3, 2, 8, "VALID"), Layer("max", 2, 2)],
    ],
    ids=["bottlenecks", "average pools", "dilation", "pad"],
)
def test_what_is_found_computes_the_same_with_int8_and_int16(type: str, layers: list[Layer]):
    pytest.importorskip("tflite_micro")
    content = network(layers, height=48, width=40, type=type)
    result = bands(content, kernels="reference", max_extra_macs=0.5)
    after, plain = result.shrunk.content, shrink(content, kernels="reference").after
    assert result.form == "explicit", result.reason
    assert result.shrunk.after.arena.total_bytes < plain.arena.total_bytes
    assert prove(content, after, name="m", inputs=6).total_bytes == result.shrunk.after.arena.total_bytes
    tensors = prove_tensors(content, after, name="m")
    assert 1 <= tensors.compared == tensors.tensors


@pytest.mark.oracle
@pytest.mark.parametrize("kernels", ["reference", "cmsis-nn-dsp", "any"])
def test_int16_shrinks_with_kernels_that_were_read(kernels: str):
    pytest.importorskip("tflite_micro")
    content = network(BOTTLENECKS, height=24, width=20, type="INT16")
    shrunk = shrink(content, kernels=kernels)
    # CMSIS-NN's kernels for int16 were not read: their outputs stay apart from their inputs.
    assert ("overlap" in [use.name for use in shrunk.passes]) == (kernels == "reference")
    assert stored.damages(read(shrunk.content), kernels) == ()
    if shrunk.is_changed:
        assert prove(content, shrunk.content, name="m", inputs=6).total_bytes == memreport(
            read(shrunk.content), profile="host64"
        ).arena.total_bytes  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tflite(Graph([T([1, 64, 64, 3], "FLOAT32", scale=()), T([1, 64, 64, 3])],
                      [Op("QUANTIZE", [0], [1])], inputs=[0], outputs=[1])), "int8 input, which takes less than FLOAT32"),
        (tflite(Graph([T([1, 16, 16, 8]), T([1, 16, 16, 8]), T([1, 16, 16, 8])],
                      [Op("ADD", [0, 1], [2], ("AddOptions", {}))], inputs=[0, 1], outputs=[2])), "smaller input would"),
        (tflite(Graph([T([1, 8]), T([64, 8], data=bytes(512)), T([1, 64]), T([8, 64], data=bytes(512)), T([1, 8])],
                      [Op("FULLY_CONNECTED", [0, 1, -1], [2], ("FullyConnectedOptions", {})),
                       Op("FULLY_CONNECTED", [2, 3, -1], [4], ("FullyConnectedOptions", {}))],
                      inputs=[0], outputs=[4])), r"FULLY_CONNECTED\) does not work row by row"),
        (network([Layer("conv", 3, 2, 4)]), "more multiplications make the arena smaller"),
    ],
)  # fmt: skip
def test_what_cannot_be_banded_says_why(content: bytes, reason: str):
    result = bands(content, kernels="reference")
    assert result.form is None
    assert result.stages == ()
    assert re.search(reason, result.reason), result.reason


def test_the_ladder_has_what_no_other_choice_beats():
    pricer = Pricer(open_draft(network(BOTTLENECKS, height=32, width=32)), "reference", get("host64"))
    stage = cuts(pricer.draft.graphs[0]).stage(0, 4)
    assert stage is not None
    prices = [pricer.price(()), *(pricer.price((Banding(stage, (h, 8 - h), False, stage.late),)) for h in (1, 3, 4, 7))]
    rungs = ladder([price for price in prices if price is not None])
    assert rungs[0].bandings == ()
    assert all(one.macs < other.macs and one.arena_bytes > other.arena_bytes for one, other in pairwise(rungs))


@pytest.mark.oracle
@pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models")
def test_visual_wake_words_in_the_explicit_form():
    path = Path(MODELS) / "mlperf-tiny/vww_96_int8.tflite"
    result = bands(path.read_bytes(), kernels="reference")
    assert result.shrunk.after.arena.total_bytes <= 62_960
    assert result.shrunk.after.arena.minimum_bytes == result.shrunk.after.arena.total_bytes
