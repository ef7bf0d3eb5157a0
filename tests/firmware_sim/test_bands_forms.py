"""Bands without copies (the form `views`): outputs and arenas are those of TFLM, and a file without its plan is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shared import MODELS
from support.band_nets import Layer, network
from support.random_bands import layers, outputs, random_bandings

from firmware_sim import memreport, read
from firmware_sim.errors import InternalError, UsageError
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import plan
from firmware_sim.overlap.replay import replay
from firmware_sim.overlap.standing import standing
from firmware_sim.overlap.views import KINDS
from firmware_sim.profiles import get
from firmware_sim.report.bands import BandsReport, render
from firmware_sim.report.bands.json import schema
from firmware_sim.rewrite.bands.build import banded
from firmware_sim.rewrite.bands.forms import FORMS, VIEWS, WAYS, Kinds, numbered, written
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.draft import Draft, finish, model_of, open_draft
from firmware_sim.rewrite.proof import Proof
from firmware_sim.run.tflm import Tflm

CHAIN = [Layer("conv", 3, 2, 8), Layer("dw", 3), Layer("conv", 1, 1, 24), Layer("dw", 3, 2), Layer("conv", 1, 1, 8),
         Layer("block", 3), Layer("conv", 3, 2, 8)]  # fmt: skip


def in_views(draft: Draft, kinds: tuple[Kinds, ...], kernels: str) -> tuple[bytes, int]:
    """The file of a draft with bands, and the head that was planned for it."""
    model = model_of(draft)
    file = written(draft, model, VIEWS, kinds)
    found = plan(model, kernels, time_s=0.2, choices=kinds, seen=file.seen)
    indices = sorted(draft.graphs[0].tensors)
    offsets = {indices[number]: offset for number, offset in found.offsets[0].items()}
    record = stored.record(kernels, bands=VIEWS, storages=numbered(file))
    assert found.solution is not None
    content = finish(replace(file.draft, offsets=(offsets,), metadata={RECORD: record}))
    return content, found.solution.peak_bytes


def scratch_is_apart(model: Model, profile: str) -> bool:
    """The replay, with an operator in front of each other one that writes the scratch buffers which TFLM gives it."""
    subgraph = model.subgraphs[0]
    tensors, places = list(subgraph.tensors), stored.places(model)
    operators: list[Operator] = []
    buffers = [one for one in memreport(model, profile=profile).buffers if one.kind == "scratch"]
    for operator in subgraph.operators:
        for buffer in buffers:
            if buffer.first == operator.index + 1:
                places[len(tensors)] = buffer.offset
                operators.append(Operator(-1, "CUSTOM", 1, (), (len(tensors),), is_custom=True))
                tensors.append(Tensor(len(tensors), buffer.name, (buffer.bytes,), "INT8", 0))
        operators.append(operator)
    whole = replace(subgraph, tensors=tuple(tensors), operators=tuple(operators))
    return replay(whole, tensors, places, "cmsis-nn-dsp", stored.recorded_storages(model)) == ()


@pytest.mark.oracle
@given(layers(), st.integers(5, 17), st.integers(0, 99), st.sampled_from(WAYS[VIEWS]), st.data())
@settings(deadline=None, max_examples=40)
def test_any_bands_compute_what_the_layers_compute(
    chain: list[Layer], height: int, seed: int, kinds: tuple[Kinds, ...], data: st.DataObject
):
    pytest.importorskip("tflite_micro")
    content = network(chain, height=height, seed=seed)
    draft = open_draft(content)
    changed = draft.with_graph(0, banded(draft.graphs[0], random_bandings(draft, data, stages=3)))
    file, _ = in_views(changed, kinds, "reference")
    model = read(file)
    assert stored.damages(model, "reference") == ()
    images = [np.random.default_rng(n).integers(-128, 128, (1, height, 6, 3), np.int8) for n in range(2)]
    runtime = Tflm(file)
    assert outputs(runtime, images * 2) == outputs(Tflm(content), images) * 2
    arena = memreport(model, profile="host64").arena
    assert (arena.head_bytes, arena.total_bytes) == (runtime.arena.head_bytes, runtime.arena.total_bytes)
    if kinds == (KINDS,):
        # All copies but the one of a result with wrong rows, and one that gives the output of the network, are gone.
        made = {tensor.name for tensor in model.subgraphs[0].tensors if ";" in tensor.name}
        left = [o for o in model.subgraphs[0].operators if o.op in ("SLICE", "CONCATENATION")]
        assert all(o.outputs[0] in model.subgraphs[0].outputs or model.subgraphs[0].tensors[o.outputs[0]].name in made
                   for o in left)  # fmt: skip


@given(layers(), st.integers(5, 17), st.sampled_from(WAYS[VIEWS]), st.data())
@settings(deadline=None, max_examples=25)
def test_scratch_buffers_keep_clear_of_what_lies_in_others(
    chain: list[Layer], height: int, kinds: tuple[Kinds, ...], data: st.DataObject
):
    end = [Layer("conv", 3, 1, 4)] if data.draw(st.booleans()) else []
    draft = open_draft(network([*chain, *end], height=height))
    changed = draft.with_graph(0, banded(draft.graphs[0], random_bandings(draft, data, stages=3)))
    file, head_bytes = in_views(changed, kinds, "cmsis-nn-dsp")
    model = read(file)
    assert stored.damages(model, "cmsis-nn-dsp") == ()
    assert scratch_is_apart(model, "cortex-m-cmsis-nn-dsp")
    assert memreport(model, profile="cortex-m-cmsis-nn-dsp").arena.head_bytes <= head_bytes


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
