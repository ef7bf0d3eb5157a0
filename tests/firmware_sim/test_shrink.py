"""Shrinking whole models: plans, what is refused, the proof; figures are those of TFLM and of published tables."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

from firmware_sim import memreport, profiles, read
from firmware_sim.budget import evaluate, state
from firmware_sim.errors import InternalError, ModelError, UsageError
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import plan, profiles_of
from firmware_sim.report import notes
from firmware_sim.report.shrink import ShrinkReport, formats, render
from firmware_sim.report.shrink.json import schema
from firmware_sim.rewrite.draft import finish, open_draft
from firmware_sim.rewrite.proof import Proof, prove
from firmware_sim.rewrite.shrink import PASSES, shrink


def point_wise(channels: int = 8, out: int = 16) -> bytes:
    """Two 1x1 convolutions over 24 x 24 pixels: the peak is at the second."""
    return tflite(
        Graph(
            [
                T([1, 24, 24, 4]),
                T([channels, 1, 1, 4], data=bytes(range(1, 4 * channels + 1)), scale=[0.1] * channels),
                T([channels], "INT32", bytes(4 * channels), scale=[0.05] * channels),
                T([1, 24, 24, channels], name="middle"),
                T([out, 1, 1, channels], data=bytes(n % 100 for n in range(out * channels)), scale=[0.1] * out),
                T([out], "INT32", bytes(4 * out), scale=[0.05] * out),
                T([1, 24, 24, out], scale=[2.0]),
            ],
            [
                Op("CONV_2D", [0, 1, 2], [3], convolution_options()),
                Op("CONV_2D", [3, 4, 5], [6], convolution_options()),
            ],
            inputs=[0],
            outputs=[6],
        )
    )


PUBLISHED = [
    # Heads of a published table: TFLM's own, and with PAD folded and overlaps for reference kernels.
    ("tflm/person_detect.tflite", 55_296, 36_896),
    ("mlperf-tiny/vww_96_int8.tflite", 73_728, 36_896),
    ("mlperf-tiny/pretrainedResnet_quant.tflite", 49_152, 33_312),
    ("tinyengine/vww.tflite", 161_472, 76_864),
    ("mltk/keyword_spotting_mobilenetv2.tflite", 76_176, 36_064),
]


@pytest.mark.oracle
@pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models")
@pytest.mark.parametrize(("file", "before", "after"), PUBLISHED)
def test_heads_of_the_published_table(file: str, before: int, after: int):
    shrunk = shrink((MODELS / file).read_bytes(), kernels="reference", name=file)
    assert shrunk.before.arena.head_bytes == before
    assert shrunk.after.arena.head_bytes == shrunk.bound_bytes == after
    assert all(build.total_after_bytes < build.total_before_bytes for build in shrunk.builds)


@pytest.mark.oracle
@pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models")
@pytest.mark.parametrize("kernels", ["reference", "any"])
def test_tflm_computes_the_same_in_the_predicted_arena(kernels: str):
    pytest.importorskip("tflite_micro")
    content = (MODELS / "mltk/keyword_spotting_mobilenetv2.tflite").read_bytes()
    shrunk = shrink(content, kernels=kernels)
    proof = prove(content, shrunk.content, name="model", inputs=10)
    assert (proof.head_bytes, proof.total_bytes) == (shrunk.after.arena.head_bytes, shrunk.after.arena.total_bytes)
    assert proof.head_bytes < 45_360


@pytest.mark.oracle
@given(st.sampled_from(["reference", "cmsis-nn", "cmsis-nn-dsp", "cmsis-nn-mve", "any"]), st.integers(2, 12))
@settings(deadline=None, max_examples=8)
def test_small_networks_stay_right(kernels: str, channels: int):
    pytest.importorskip("tflite_micro")
    content = point_wise(channels, 2 * channels)
    shrunk = shrink(content, kernels=kernels)
    assert stored.damages(read(shrunk.content), kernels) == ()
    assert shrunk.after.arena.total_bytes <= shrunk.before.arena.total_bytes
    if shrunk.is_changed:
        assert prove(content, shrunk.content, name="model", inputs=6).head_bytes == memreport(
            read(shrunk.content), profile="host64"
        ).arena.head_bytes  # fmt: skip


@pytest.mark.oracle
def test_a_large_model_is_compared_on_fewer_inputs():
    pytest.importorskip("tflite_micro")
    from firmware_sim.rewrite import proof

    content = point_wise()
    shrunk = shrink(content, kernels="reference").content
    macs = 2 * 24 * 24 * (4 * 8 + 8 * 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "most_workers", lambda: 1)
        for budget, inputs in ((1, proof.LEAST), (17 * macs, 17), (1000 * macs, proof.INPUTS)):
            patch.setattr(proof, "_MACS_PER_WORKER", budget)
            assert prove(content, shrunk, name="model").inputs == inputs


@pytest.mark.oracle
def test_floats_are_written_over_the_bytes_that_they_come_from():
    pytest.importorskip("tflite_micro")
    graph = Graph(
        [T([1, 32, 32, 8]), T([1, 32, 32, 8]), T([1, 32, 32, 8], "FLOAT32", scale=None)],
        [Op("ABS", [0], [1]), Op("DEQUANTIZE", [1], [2])], inputs=[0], outputs=[2],
    )  # fmt: skip
    content = tflite(graph)
    shrunk = shrink(content)
    assert (shrunk.before.arena.head_bytes, shrunk.after.arena.head_bytes) == (5 * 8192, 4 * 8192)
    assert prove(content, shrunk.content, name="model", inputs=6).head_bytes == 4 * 8192


def test_the_kernel_class_decides():
    heads = {kernels: shrink(point_wise(), kernels=kernels).after.arena.head_bytes for kernels in stored_classes()}
    # 24 x 24 pixels of 8 and of 16 channels: full separation needs 13,824. A pixel at a time 16 N - 8 (N - 1), 4,616, above.
    assert heads["cmsis-nn-dsp"] == heads["cmsis-nn"] == heads["any"] == 13_824
    assert heads["reference"] == 4_608 + 4_624
    assert heads["cmsis-nn-mve"] == 4_608 + 4_640


def stored_classes() -> list[str]:
    return ["reference", "cmsis-nn", "cmsis-nn-dsp", "cmsis-nn-mve", "any"]


def test_a_plan_for_other_kernels_is_called_unsafe():
    shrunk = shrink(point_wise(), kernels="reference")
    assert shrunk.libraries == ("reference",)
    model = read(shrunk.content)
    assert stored.recorded_kernels(model) == "reference"
    (warning,) = notes.collect(model, profile=profiles.get("cortex-m-cmsis-nn-dsp"))
    assert "WRONG OUTPUTS with cmsis-nn-dsp kernels" in warning
    (note,) = notes.collect(model, profile=profiles.get("cortex-m-reference"))
    assert "holds for reference kernels" in note
    lost = replace(model, metadata={RECORD: model.metadata[RECORD]})
    assert "the plan is gone" in notes.collect(lost)[0]


def test_a_check_fails_where_the_plan_is_for_other_kernels(tmp_path: Path):
    content = shrink(point_wise(), kernels="reference").content
    (tmp_path / "m.tflite").write_bytes(content)
    budgets = [
        state({"name": profile, "model": "m.tflite", "target": profile, "arena": "1 MiB"}, tmp_path)
        for profile in ("cortex-m-reference", "cortex-m-cmsis-nn-dsp")
    ]
    right, wrong = evaluate(budgets).results
    assert [(limit.status.value, limit.note[:40]) for limit in right.limits if limit.kind == "plan"] == [
        ("PASS", "The file's memory plan lets outputs over")
    ]
    assert [(limit.status.value, limit.note[:32]) for limit in wrong.limits if limit.kind == "plan"] == [
        ("FAIL", "WRONG OUTPUTS with cmsis-nn-dsp ")
    ]
    assert not right.exceeded
    assert wrong.exceeded


def test_passes_can_be_switched_off():
    content = point_wise()
    assert [use.name for use in shrink(content, kernels="reference").passes] == ["overlap"]
    assert not shrink(content, kernels="reference", without=["overlap"]).is_changed
    unchanged = shrink(content, kernels="reference", without=list(PASSES))
    assert unchanged.content == content
    assert unchanged.notes == ("nothing to gain: the file stays as it is",)
    with pytest.raises(UsageError, match="unknown pass 'magic'"):
        shrink(content, without=["magic"])


def test_a_build_of_other_kernels_is_refused():
    with pytest.raises(UsageError, match="has other kernels"):
        shrink(point_wise(), kernels="reference", profile=profiles.get("cortex-m-cmsis-nn"))
    assert {profile.id for profile in profiles_of("any")} == set(profiles.names())


def test_a_planned_file_is_not_shrunk_again():
    once = shrink(point_wise(), kernels="reference").content
    with pytest.raises(ModelError, match="a memory plan by sapool shrink"):
        shrink(once, kernels="reference")


def test_a_plan_without_overlaps_gives_way_to_a_better_one():
    draft = open_draft(point_wise())
    wasteful = finish(replace(draft, offsets=({0: 0, 3: 30_000, 6: 50_000},)))
    assert memreport(read(wasteful)).arena.head_bytes == 50_000 + 9_216
    assert shrink(wasteful, kernels="any").after.arena.head_bytes == 13_824


@pytest.mark.parametrize(
    ("operators", "reason"),
    [
        ([Op("Blink", [0], [1])], "what its kernel asks for is not known"),
        ([Op("ADD", [0, 2], [1])], "is read but never written"),
    ],
)
def test_what_is_not_planned_says_why(operators: list[Op], reason: str):
    graph = Graph([T([1, 64]), T([1, 64]), T([1, 64])], operators, inputs=[0], outputs=[1])
    found = plan(read(tflite(graph)), "reference")
    assert found.solution is None
    assert reason in found.reason


def test_a_variable_stays_where_tflm_puts_it():
    graph = Graph(
        [T([1, 64]), T([1, 64]), T([1, 64], is_variable=True)], [Op("ADD", [0, 2], [1])], inputs=[0], outputs=[1]
    )
    assert set(plan(read(tflite(graph)), "reference").offsets[0]) == {0, 1}


def test_refusals_of_tflm_come_first():
    graph = Graph([T([1, 4]), T([-1, 4])], [Op("ABS", [0], [1])], inputs=[0], outputs=[1])
    with pytest.raises(ModelError, match="sizes that are not known before the model runs"):
        shrink(tflite(graph))


def test_compressed_constants_are_not_touched():
    with pytest.raises(ModelError, match="compressed"):
        shrink(tflite(small_network(), metadata={"COMPRESSION_METADATA": b"\0" * 8}))


@pytest.mark.oracle
def test_a_wrong_plan_is_found_by_tflm():
    pytest.importorskip("tflite_micro")
    content = point_wise()
    draft = open_draft(content)
    wrong = finish(replace(draft, offsets=({0: 0, 3: 9_216, 6: 6_000},)))
    with pytest.raises(InternalError, match="output 0 differs"):
        prove(content, wrong, name="model", inputs=4)
    assert stored.damages(read(wrong), "reference") != ()
    assert encode([0, None]) == finish_plan_of(2)


def finish_plan_of(count: int) -> bytes:
    """Version 1, subgraph 0, number of tensors, offsets, as micro_allocation_info.cc reads them."""
    words = [1, 0, count, 0, *[-1] * (count - 1)]
    return b"".join(word.to_bytes(4, "little", signed=True) for word in words)


def test_the_plan_is_found_by_its_name():
    assert METADATA in read(shrink(point_wise(), kernels="reference").content).metadata


def test_reports():
    content = point_wise()
    shrunk = shrink(content, kernels="reference", name="a <model>.tflite")
    report = ShrinkReport(shrunk, Proof(100, 9_232, 12_000))
    text = render(report)
    assert "outputs of 100 inputs are the same" in text
    assert "WRONG OUTPUTS are possible with cmsis-nn" in text
    stored_json = json.loads(render(report, "json"))
    jsonschema.Draft202012Validator(schema()).validate(stored_json)
    jsonschema.Draft202012Validator(schema()).validate(json.loads(render(ShrinkReport(shrunk, None, "why"), "json")))
    assert list(schema()["properties"]) == list(stored_json)
    assert stored_json["after"]["head_bytes"] == stored_json["passes"][-1]["head_bytes"] == 9_232
    assert [build["profile"] for build in stored_json["builds"]] == [build.profile for build in shrunk.builds]
    page = ElementTree.fromstring(render(report, "html").partition("\n")[2])
    ids = [element.get("id") for element in page.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) == 4
    picture = ElementTree.fromstring(render(report, "svg"))
    rectangles = [element for element in picture.iter() if element.get("data-offset")]
    assert len(rectangles) == len(shrunk.before.buffers) + len(shrunk.after.buffers)
    assert "not run in TFLM: it is not installed" in render(ShrinkReport(shrunk, None, "it is not installed"))
    assert formats()[0] == "text"
    with pytest.raises(UsageError, match="unknown format"):
        render(report, "pdf")


def test_memory_reports_do_not_load_numpy_for_this():
    code = (
        "import sys; from firmware_sim.report import notes; from firmware_sim import memreport, read; "
        "m = read(sys.stdin.buffer.read()); memreport(m); notes.collect(m); sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], input=point_wise(), check=False).returncode == 0
