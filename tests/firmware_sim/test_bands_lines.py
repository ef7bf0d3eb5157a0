"""Bands whose rows stay from one to the next: in every form they compute what the layers compute."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.band_forms import assert_same, in_form, scratch_is_apart
from support.band_nets import BOTTLENECKS, Layer, network
from support.random_bands import layers, outputs

from firmware_sim import read
from firmware_sim.errors import InternalError
from firmware_sim.overlap import stored
from firmware_sim.profiles import get
from firmware_sim.report.bands import BandsReport, render
from firmware_sim.report.bands.text import described
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import EXPLICIT, LOOP, VIEWS
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.line_costs import line_bandings
from firmware_sim.rewrite.bands.lines import turns
from firmware_sim.rewrite.bands.pricing import Pricer
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import BandedStage, bands
from firmware_sim.rewrite.bands.search import Goal, Search
from firmware_sim.rewrite.bands.shapes import repeated
from firmware_sim.rewrite.bands.stage import Stage, cuts
from firmware_sim.rewrite.draft import Draft, finish, open_draft
from firmware_sim.rewrite.proof import prove
from firmware_sim.run.tflm import Tflm


def stage_of(draft: Draft, first: int, last: int) -> Stage:
    stage = cuts(draft.graphs[0]).stage(first, last)
    assert stage is not None
    return stage


def line_banding(data: st.DataObject, draft: Draft) -> Banding:
    """All layers but the last in bands of mostly one height, whose rows stay, those of some maps excepted."""
    stage = stage_of(draft, 0, len(draft.graphs[0].operators) - 2)
    height = data.draw(st.integers(1, max(stage.rows // 5, 1)))
    heights = [data.draw(st.integers(1, max(stage.rows // 3, 1)))]
    last = data.draw(st.integers(0, stage.rows // 3))
    while sum(heights) + last < stage.rows:
        heights.append(min(height, stage.rows - last - sum(heights)))
    if sum(heights) < stage.rows:
        heights.append(stage.rows - sum(heights))
    found = turns(stage, heights)
    assume(found is not None)
    kept = sorted({index for turn in found or () for index in turn.kept})
    again = data.draw(st.frozensets(st.sampled_from(kept)) if kept else st.just(frozenset[int]()))
    assume(turns(stage, heights, again) is not None)
    return Banding(stage, tuple(heights), in_loops=True, lines=True, again=again)


def long_network(chain: Sequence[Layer], height: int, seed: int = 0) -> bytes:
    return network([*chain, Layer("conv", 3, 1, 4)], height=height, seed=seed)


@pytest.mark.oracle
@given(layers(), st.integers(12, 30), st.integers(0, 99), st.data())
@settings(deadline=None, max_examples=25)
def test_rows_that_stay_are_legal_tflite(chain: list[Layer], height: int, seed: int, data: st.DataObject):
    pytest.importorskip("tflite_micro")
    litert = pytest.importorskip("firmware_sim.run.litert")
    pytest.importorskip("ai_edge_litert")
    content = long_network(chain, height, seed)
    draft = open_draft(content)
    file, _ = in_form(draft, [line_banding(data, draft)], EXPLICIT, 0, "reference")
    assert_same(content, file, height)
    images = [np.random.default_rng(n).integers(-128, 128, (1, height, 6, 3), np.int8) for n in range(2)]
    assert outputs(litert.LiteRt(file), images) == outputs(Tflm(content), images)


@pytest.mark.oracle
@given(layers(), st.integers(12, 40), st.integers(0, 99), st.sampled_from([VIEWS, LOOP]), st.data())
@settings(deadline=None, max_examples=40)
def test_rows_stay_at_their_places_in_tflm(chain: list[Layer], height: int, seed: int, form: str, data: st.DataObject):
    pytest.importorskip("tflite_micro")
    content = long_network(chain, height, seed)
    draft = open_draft(content)
    banding = line_banding(data, draft)
    file, _ = in_form(draft, [banding], form, 0, "reference")
    assert (len(read(file).subgraphs) > 1) == (form == LOOP and bool(repeated(banding)))
    assert_same(content, file, height)


@given(layers(), st.integers(12, 40), st.data())
@settings(deadline=None, max_examples=25)
def test_scratch_buffers_keep_clear_of_rows_that_stay(chain: list[Layer], height: int, data: st.DataObject):
    draft = open_draft(long_network(chain, height))
    banding = line_banding(data, draft)
    assume(repeated(banding))
    model = read(in_form(draft, [banding], LOOP, 0, "cmsis-nn-dsp")[0])
    assert len(model.subgraphs) > 1
    assert stored.damages(model, "cmsis-nn-dsp") == ()
    assert scratch_is_apart(model, "cortex-m-cmsis-nn-dsp")


@given(layers(), st.integers(12, 40), st.data())
@settings(deadline=None, max_examples=40)
def test_rows_that_are_read_are_there_and_right(chain: list[Layer], height: int, data: st.DataObject):
    draft = open_draft(long_network(chain, height))
    banding = line_banding(data, draft)
    stage = banding.stage
    done = dict.fromkeys(stage.sizes, 0)
    for turn in banding.turns():
        there = {stage.source: Rows(0, stage.sizes[stage.source])}
        for step in turn.steps:
            output = step.layer.output
            assert all(there[i].holds(rows) for i, rows in zip(step.layer.data, step.inputs, strict=True))
            right = step.layer.reach.right(step.inputs[0])
            assert right.start <= done[output]
            kept = turn.kept.get(output)
            assert kept is None or kept.end <= done[output]
            there[output] = right.hull(kept)
            done[output] = max(right.end, done[output])
    assert done[stage.result] == stage.rows


def test_where_rows_cannot_stay():
    draft = open_draft(network(BOTTLENECKS, height=48))
    stage = stage_of(draft, 0, 8)
    # The last row needs no row of the block's input that the row before it does not.
    assert turns(stage, (2,) * 5 + (1,) * 2) is None
    with pytest.raises(InternalError, match="no rows can stay"):
        Banding(stage, (2,) * 5 + (1,) * 2, lines=True).turns()


def looping(kernels: str = "reference") -> tuple[bytes, bytes, Banding]:
    content = network(BOTTLENECKS, height=64, width=6)
    draft = open_draft(content)
    banding = Banding(stage_of(draft, 0, 8), (3, *[2] * 5, 3), in_loops=True, lines=True)
    assert repeated(banding) == (range(1, 6),)
    return content, in_form(draft, [banding], LOOP, 0, kernels)[0], banding


@pytest.mark.oracle
def test_a_loop_keeps_rows_with_a_copy_per_map():
    pytest.importorskip("tflite_micro")
    content, file, banding = looping()
    assert_same(content, file, 64)
    main, body, _ = read(file).subgraphs
    kept = banding.turns()[1].kept
    assert len(kept) == 4  # of two depthwise convolutions, the one in the block, and its residual
    assert [operator.op for operator in body.operators].count("SLICE") == len(kept) + 1
    assert [operator.op for operator in main.operators].count("SLICE") == len(kept)
    late = Banding(banding.stage, banding.heights, False, banding.stage.late)
    assert 0 < banding.extra_macs() < 0.5 * late.extra_macs()
    proof = prove_tensors(content, file, name="m")
    assert proof.compared == proof.tensors > 0


@pytest.mark.oracle
def test_rows_of_a_map_that_do_not_stay_are_computed_again():
    pytest.importorskip("tflite_micro")
    content = network(BOTTLENECKS, height=64, width=6)
    draft = open_draft(content)
    whole = Banding(stage_of(draft, 0, 8), (3, *[2] * 5, 3), in_loops=True, lines=True)
    every = set(whole.turns()[1].kept)
    tried = 0
    for index in sorted(every):
        banding = replace(whole, again=frozenset([index]))
        if turns(banding.stage, banding.heights, banding.again) is None or not repeated(banding):
            continue
        kept = set(banding.turns()[1].kept)
        assert kept != every
        assert index not in kept  # what it is computed from may stay instead
        assert banding.extra_macs() > whole.extra_macs()
        file, _ = in_form(draft, [banding], LOOP, 0, "reference")
        assert_same(content, file, 64)
        copies = [operator.op for operator in read(file).subgraphs[1].operators].count("SLICE")
        assert copies > len(kept)
        tried += 1
    assert tried >= 2


def test_a_report_names_the_maps_that_are_computed_again():
    stage = stage_of(open_draft(network(BOTTLENECKS, height=64, width=6)), 0, 8)
    banding = Banding(stage, (32, 32), lines=True, again=frozenset([stage.layers[0].output]))
    found = BandedStage("in", "out", 9, 64, banding.heights, False, ("first",), banding)
    assert described(found)[1].endswith("rows that the next band reads stay, not those of first")


@pytest.mark.oracle
def test_rows_that_a_turn_did_not_leave_are_found():
    pytest.importorskip("tflite_micro")
    content, file, _ = looping()
    draft = open_draft(file)
    places = stored.all_places(draft.model)
    body = draft.graphs[1]
    for copy in [operator for operator in body.operators if operator.op == "SLICE"][1:]:
        moved = [dict(one) for one in places]
        moved[1][copy.outputs[0]] += 16
        assert stored.damages(read(finish(replace(draft, offsets=tuple(moved)))), "reference") != ()
        # Where rows lie the replay knows, and not which rows they should be: that is TFLM's to show.
        begin = body.tensors[copy.inputs[1]]
        row = struct.unpack("<4i", begin.data or b"")[1]
        other = replace(
            begin, index=max(body.tensors) + 1, data=memoryview(struct.pack("<4i", 0, row - 1, 0, 0)), buffer=-1
        )
        changed = replace(copy, inputs=(copy.inputs[0], other.index, copy.inputs[2]))
        for operators in (
            tuple(one for one in body.operators if one is not copy),
            tuple(changed if one is copy else one for one in body.operators),
        ):
            spoilt = replace(body, tensors={**body.tensors, other.index: other}, operators=operators)
            spoilt = replace(spoilt, tensors={index: spoilt.tensors[index] for index in sorted(spoilt.used())})
            with pytest.raises(InternalError):
                prove(content, finish(replace(draft.with_graph(1, spoilt), offsets=places)), name="m", inputs=20)


@pytest.mark.oracle
def test_a_second_run_does_not_see_what_the_first_one_left():
    pytest.importorskip("tflite_micro")
    content, file, _ = looping()
    low, high = (np.full((1, 64, 6, 3), value, np.int8) for value in (-128, 127))
    expected = [outputs(Tflm(content), [image])[0] for image in (low, high)]
    assert outputs(Tflm(file), [low, high, low, high]) == expected * 2


@pytest.mark.parametrize("kernels", ["reference", "cmsis-nn-dsp"])
def test_what_is_reckoned_is_hardly_ever_above_what_a_plan_needs(kernels: str):
    draft = open_draft(network(BOTTLENECKS, height=96, width=24, channels=8))
    profile = get(f"cortex-m-{kernels}")
    search = Search(Pricer(draft, kernels, profile, LOOP), Goal(10**9))
    count = 0
    for first, last in ((0, 4), (1, 4), (0, 8)):
        for banding in line_bandings(stage_of(draft, first, last)):
            ways = (banding, replace(banding, in_loops=False))
            choice = min((search.proposer.choice([way]) for way in ways), key=search.arena_bytes)
            price = search.pricer.price([banding])
            assert price is not None
            assert choice.macs == price.macs - search.pricer.macs
            assert 0.98 * search.arena_bytes(choice) <= price.arena_bytes <= 1.3 * search.arena_bytes(choice)
            count += 1
    assert count > 10


@pytest.mark.oracle
def test_rows_stay_where_that_is_better():
    pytest.importorskip("tflite_micro")
    chain = [
        Layer("conv", 3, 2, 8),
        Layer("conv", 1, 1, 48),
        Layer("dw", 3, 2),
        Layer("conv", 1, 1, 8),
        Layer("conv", 3, 2, 8),
    ]
    content = network(chain, height=96, width=32)
    found = {form: bands(content, kernels="reference", form=form, max_extra_macs=0.05) for form in (VIEWS, LOOP)}
    arenas = {form: one.shrunk.after.arena.total_bytes for form, one in found.items()}
    assert arenas[LOOP] < 0.95 * arenas[VIEWS]
    assert any(stage.banding.lines for stage in found[LOOP].stages)
    assert not any(stage.banding.lines for stage in found[VIEWS].stages)
    file = found[LOOP].shrunk.content
    report = BandsReport(found[LOOP], prove(content, file, name="m", inputs=3), prove_tensors(content, file, name="m"))
    assert "from the top down; rows that the next band reads stay" in render(report)
    stages = json.loads(render(report, "json"))["stages"]
    assert [(stage["lines"], stage["again"]) for stage in stages] == [(True, [])]
    assert "from the top down" in render(report, "flow")
