"""Bands in the forms `views` and `loop`: outputs and arenas are those of TFLM, a file without its plan does not hold."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles.shared import MODELS
from support.band_forms import assert_same, in_form, scratch_is_apart
from support.band_nets import Layer, network
from support.random_bands import layers, random_bandings

from firmware_sim import memreport, read
from firmware_sim.errors import InternalError, UsageError
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.overlap import stored
from firmware_sim.overlap.standing import standing
from firmware_sim.profiles import get
from firmware_sim.report.bands import BandsReport, render
from firmware_sim.report.bands.json import schema
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import FORMS, LOOP, VIEWS
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.bands.shapes import repeated
from firmware_sim.rewrite.bands.stage import cuts
from firmware_sim.rewrite.draft import Draft, finish, open_draft
from firmware_sim.rewrite.proof import Proof
from firmware_sim.run.tflm import Tflm

CHAIN = [Layer("conv", 3, 2, 8), Layer("dw", 3), Layer("conv", 1, 1, 24), Layer("dw", 3, 2), Layer("conv", 1, 1, 8),
         Layer("block", 3), Layer("conv", 3, 2, 8)]  # fmt: skip


@pytest.mark.oracle
@given(layers(), st.integers(5, 17), st.integers(0, 99), st.integers(0, 3), st.data())
@settings(deadline=None, max_examples=25)
def test_any_bands_compute_what_the_layers_compute(
    chain: list[Layer], height: int, seed: int, number: int, data: st.DataObject
):
    pytest.importorskip("tflite_micro")
    content = network(chain, height=height, seed=seed)
    draft = open_draft(content)
    file, _ = in_form(draft, random_bandings(draft, data, stages=3), VIEWS, number, "reference")
    model = read(file)
    assert_same(content, file, height)
    if number == 0:
        # All copies but the one of a result with wrong rows, and one that gives the output of the network, are gone.
        made = {tensor.name for tensor in model.subgraphs[0].tensors if ";" in tensor.name}
        left = [o for o in model.subgraphs[0].operators if o.op in ("SLICE", "CONCATENATION")]
        assert all(o.outputs[0] in model.subgraphs[0].outputs or model.subgraphs[0].tensors[o.outputs[0]].name in made
                   for o in left)  # fmt: skip


@st.composite
def equal_bandings(draw: st.DrawFn, draft: Draft) -> list[Banding]:
    """All layers but the last in one or two stages of bands that are mostly of one height."""
    found = cuts(draft.graphs[0])
    last = len(found.layers) - 1
    positions = [position for position in range(1, last) if found.tensors[position] is not None]
    middle = draw(st.sampled_from([None, *positions]))
    bandings = []
    for first, end in pairwise([0, *([middle] if middle else []), last]):
        stage = found.stage(first, end - 1)
        assert stage is not None
        height = draw(st.integers(1, max(stage.rows // 5, 1)))
        heights = [draw(st.integers(0, stage.rows // 2))]
        while sum(heights) < stage.rows:
            heights.append(min(height, stage.rows - sum(heights)))
        trimmed = frozenset(index for index in stage.trimmable if draw(st.booleans()))
        bandings.append(Banding(stage, tuple(filter(None, heights)), draw(st.booleans()), trimmed, True))
    return bandings


@pytest.mark.oracle
@given(layers(), st.integers(12, 30), st.integers(0, 99), st.data())
@settings(deadline=None, max_examples=25)
def test_any_loop_computes_what_the_layers_compute(chain: list[Layer], height: int, seed: int, data: st.DataObject):
    pytest.importorskip("tflite_micro")
    content = network([*chain, Layer("conv", 3, 1, 4)], height=height, seed=seed)
    draft = open_draft(content)
    bandings = data.draw(equal_bandings(draft))
    assume(any(repeated(banding) for banding in bandings))
    file, _ = in_form(draft, bandings, LOOP, 0, "reference")
    subgraphs = read(file).subgraphs
    assert len(subgraphs) == 1 + 2 * sum(len(repeated(banding)) for banding in bandings)
    assert_same(content, file, height)
    for subgraph, places in zip(subgraphs, stored.all_places(read(file)), strict=True):
        assert all(place % 4 == 0 for index, place in places.items() if subgraph.tensors[index].type == "INT32")


@given(layers(), st.integers(5, 17), st.integers(0, 3), st.data())
@settings(deadline=None, max_examples=20)
def test_scratch_buffers_keep_clear_of_what_lies_in_others(
    chain: list[Layer], height: int, number: int, data: st.DataObject
):
    end = [Layer("conv", 3, 1, 4)] if data.draw(st.booleans()) else []
    draft = open_draft(network([*chain, *end], height=height))
    file, head_bytes = in_form(draft, random_bandings(draft, data, stages=3), VIEWS, number, "cmsis-nn-dsp")
    model = read(file)
    assert stored.damages(model, "cmsis-nn-dsp") == ()
    assert scratch_is_apart(model, "cortex-m-cmsis-nn-dsp")
    assert memreport(model, profile="cortex-m-cmsis-nn-dsp").arena.head_bytes <= head_bytes


def looping(upward: bool = False) -> tuple[bytes, bytes]:
    """A network, and the file of it with a loop of four turns."""
    content = network(CHAIN, height=48, width=6)
    draft = open_draft(content)
    stage = cuts(draft.graphs[0]).stage(0, 4)
    assert stage is not None
    return content, in_form(draft, [Banding(stage, (2,) * 6, upward, stage.late, True)], LOOP, 0, "reference")[0]


@pytest.mark.oracle
@pytest.mark.parametrize("upward", [False, True])
def test_a_loop_is_one_band_long(upward: bool):
    pytest.importorskip("tflite_micro")
    content, file = looping(upward)
    assert_same(content, file, 48)
    main, body, condition = read(file).subgraphs
    assert [operator.op for operator in main.operators].count("WHILE") == 1
    assert [operator.op for operator in body.operators] == [
        "SLICE", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "DYNAMIC_UPDATE_SLICE",
        "ADD", "ADD",
    ]  # fmt: skip
    assert [operator.op for operator in condition.operators] == ["LESS"]
    proof = prove_tensors(content, file, name="m")
    assert proof.compared == proof.tensors > 2
    assert not proof.in_litert


@pytest.mark.oracle
@pytest.mark.parametrize("upward", [False, True])
def test_a_stage_has_a_loop_for_each_height_of_its_bands(upward: bool):
    pytest.importorskip("tflite_micro")
    content = network(CHAIN, height=48, width=6)
    draft = open_draft(content)
    stage = cuts(draft.graphs[0]).stage(0, 4)
    assert stage is not None
    banding = Banding(stage, (1, 1, 1, 1, 2, 2, 2, 2), upward, stage.late, in_loops=True)
    assert [len(run) for run in repeated(banding)] == [3, 3]
    file, _ = in_form(draft, [banding], LOOP, 0, "reference")
    assert [operator.op for operator in read(file).subgraphs[0].operators].count("WHILE") == 2
    assert_same(content, file, 48)


def test_bands_stay_apart_where_no_loop_is_asked_for():
    draft = open_draft(network(CHAIN, height=48, width=6))
    stage = cuts(draft.graphs[0]).stage(0, 4)
    assert stage is not None
    file, _ = in_form(draft, [Banding(stage, (2,) * 6, False, stage.late)], LOOP, 0, "reference")
    assert len(read(file).subgraphs) == 1


def test_a_loop_that_is_spoilt_does_not_hold():
    _, file = looping()
    draft = open_draft(file)
    places = stored.all_places(draft.model)
    _, body, condition = draft.graphs
    constants = {index: tensor for index, tensor in body.tensors.items() if "integer" in tensor.name}
    sums = [operator for operator in body.operators if operator.op == "ADD"]
    step = constants[sums[1].inputs[1]]
    longer = replace(step, data=memoryview(struct.pack("<i", 2 * struct.unpack("<i", step.data or b"")[0])), buffer=-1)
    spoilt = [
        draft.with_graph(1, replace(body, tensors={**body.tensors, step.index: longer})),
        draft.with_graph(1, replace(body, operators=body.operators[:-1])),
        draft.with_graph(2, replace(condition, operators=())),
    ]
    assert stored.damages(draft.model, "reference") == ()
    for one in spoilt:
        assert stored.damages(read(finish(replace(one, offsets=places))), "reference") != ()
    copies = body.operators[0], body.operators[6]
    for index in (body.inputs[0], copies[0].inputs[0], copies[0].outputs[0], copies[1].inputs[1], copies[1].outputs[0]):
        moved = [dict(one) for one in places]
        moved[1][index] += 16
        assert stored.damages(read(finish(replace(draft, offsets=tuple(moved)))), "reference") != ()


@given(layers(), st.integers(12, 30), st.data())
@settings(deadline=None, max_examples=15)
def test_scratch_buffers_keep_clear_of_what_later_turns_read(chain: list[Layer], height: int, data: st.DataObject):
    draft = open_draft(network([*chain, Layer("conv", 3, 1, 4)], height=height))
    bandings = data.draw(equal_bandings(draft))
    assume(any(repeated(banding) for banding in bandings))
    model = read(in_form(draft, bandings, LOOP, 0, "cmsis-nn-dsp")[0])
    assert len(model.subgraphs) > 1
    assert stored.damages(model, "cmsis-nn-dsp") == ()
    assert scratch_is_apart(model, "cortex-m-cmsis-nn-dsp")


@pytest.mark.oracle
def test_a_source_that_is_held_for_scratch_buffers_stays_as_it_is():
    pytest.importorskip("tflite_micro")
    content = network(CHAIN, height=48, width=6)
    draft = open_draft(content)
    stage = cuts(draft.graphs[0]).stage(0, 4)
    assert stage is not None
    file, _ = in_form(draft, [Banding(stage, (2,) * 6, True, stage.late, True)], LOOP, 0, "any")
    assert [len(subgraph.inputs) for subgraph in read(file).subgraphs] == [1, 3, 3]
    assert_same(content, file, 48)


@pytest.fixture(scope="module")
def found() -> tuple[bytes, BandsReport]:
    pytest.importorskip("tflite_micro")
    content = network(CHAIN, height=40, width=40)
    result = bands(content, kernels="reference", max_extra_macs=0.3, form=VIEWS, name="m.tflite")
    return content, BandsReport(result, Proof(100, 1, 2), prove_tensors(content, result.shrunk.content, name="m"))


@pytest.mark.oracle
def test_views_need_less_than_slices(found: tuple[bytes, BandsReport]):
    content, report = found
    explicit = bands(content, kernels="reference", max_extra_macs=0.3)
    shrunk = report.banded.shrunk
    assert shrunk.after.arena.total_bytes < explicit.shrunk.after.arena.total_bytes
    least = shrunk.after.arena.minimum_bytes
    assert least is not None
    assert Tflm(shrunk.content, least).arena.total_bytes == shrunk.after.arena.total_bytes
    with pytest.raises(UsageError, match="too small"):
        Tflm(shrunk.content, least - 16)
    assert report.tensors is not None
    assert report.tensors.compared == report.tensors.tensors > 2
    assert not report.tensors.in_litert


@pytest.mark.oracle
def test_a_result_that_is_put_together_by_places_is_compared(found: tuple[bytes, BandsReport]):
    content, report = found
    model = read(report.banded.shrunk.content)
    subgraph, places = model.subgraphs[0], stored.places(model)
    results = {stage.result for stage in report.banded.stages}
    result = next(tensor for tensor in subgraph.tensors if tensor.name in results)
    assert all(result.index not in operator.outputs for operator in subgraph.operators)
    (storage,) = (one for one in stored.recorded_storages(model) if result.index in one)
    part = next(index for index in storage if index != result.index and storage[index] != storage[result.index])
    wrong = encode([places.get(n, 0) + 16 * (n == part) if n in places else None for n in range(len(subgraph.tensors))])
    file = finish(replace(open_draft(report.banded.shrunk.content), metadata={METADATA: wrong}, offsets=None))
    assert places[part] % 16 == 0
    with pytest.raises(InternalError, match=f"tensor '{result.name}' differs|differs for input"):
        prove_tensors(content, _planned(file, wrong), name="m")
    damages = stored.damages(read(_planned(file, wrong)), "reference")
    assert part in {damage.victim for damage in damages}


def _planned(content: bytes, words: bytes) -> bytes:
    draft = open_draft(content)
    offsets = np.frombuffer(words, np.int32)[3:].tolist()
    return finish(replace(draft, offsets=({n: offset for n, offset in enumerate(offsets) if offset >= 0},)))


@pytest.mark.oracle
def test_a_file_without_its_plan_does_not_hold(found: tuple[bytes, BandsReport]):
    model = read(found[1].banded.shrunk.content)
    assert stored.recorded_bands(model) == VIEWS
    here = standing(model, get("host64"))
    assert here is not None
    assert here.holds
    assert "in TFLM alone" in here.text
    for metadata in ({RECORD: model.metadata[RECORD]}, {METADATA: model.metadata[METADATA]}, {}):
        lost = standing(replace(model, metadata=metadata), get("host64"))
        assert lost is not None
        assert not lost.holds
        assert lost.text.startswith("WRONG OUTPUTS")
    record = json.loads(bytes(model.metadata[RECORD]))
    for storages in ([], "none", [[1]], [[10_000, 0]], [["a", None]]):
        changed = {**model.metadata, RECORD: memoryview(json.dumps({**record, "storages": storages}).encode())}
        spoilt = standing(replace(model, metadata=changed), get("host64"))
        assert spoilt is not None
        assert not spoilt.holds


@pytest.mark.oracle
def test_reports_say_the_form(found: tuple[bytes, BandsReport]):
    report = found[1]
    text = render(report)
    assert "form views" in text
    assert "LiteRT: not run" in text
    assert "form views" in render(report, "html")
    assert json.loads(render(report, "json"))["form"] == VIEWS
    assert set(FORMS) == set(schema()["properties"]["form"]["enum"]) - {None}


def test_an_unknown_form_is_refused():
    with pytest.raises(UsageError, match="unknown form"):
        bands(network(CHAIN), form="loops")


@pytest.mark.oracle
@pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models")
@pytest.mark.parametrize(
    ("file", "most_bytes"), [("mlperf-tiny/vww_96_int8.tflite", 60_960), ("tflm/person_detect.tflite", 53_280)]
)
def test_arenas_of_the_published_table(file: str, most_bytes: int):
    result = bands((Path(MODELS) / file).read_bytes(), kernels="reference", form=VIEWS)
    assert result.shrunk.after.arena.total_bytes <= most_bytes
