"""Why the peak is where it is: the words, against networks whose live sets are plain to see."""

from __future__ import annotations

import dataclasses
import json
import re

import jsonschema
import pytest
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import ModelError
from firmware_sim.report import Style, render, schema
from firmware_sim.report.reasons import explain


def shortcut() -> Graph:
    """t0 -> t1 -> t2 -> t3 with t1 added to t3 at the end: t1 waits while layers 1 and 2 run."""
    sizes = {"image": 64, "kept": 256, "wide": 1024, "narrow": 256, "sum": 256}
    return Graph(
        [T([1, size], name=name) for name, size in sizes.items()],
        [Op("RELU", [0], [1]), Op("RELU", [1], [2]), Op("RELU", [2], [3]), Op("ADD", [1, 3], [4])],
        inputs=[0], outputs=[4],
    )  # fmt: skip


def report_of(*graphs: Graph, **options: str):
    return memreport(read(tflite(*graphs), name="m.tflite"), **options)


def test_roles_of_live_buffers():
    layers = report_of(shortcut()).layers
    roles = [{entry.tensor: (entry.role, entry.until) for entry in layer.live} for layer in layers]
    assert roles == [
        {"image": ("input", 0), "kept": ("output", 3)},
        {"kept": ("input", 3), "wide": ("output", 2)},
        {"kept": ("waiting", 3), "wide": ("input", 2), "narrow": ("output", 3)},
        {"kept": ("input", 3), "narrow": ("input", 3), "sum": ("output", 3)},
    ]
    assert [layer.time for layer in layers] == [1, 2, 3, 4]


def test_the_peak_and_what_comes_next_are_explained():
    explanation = explain(report_of(shortcut()))
    assert [(reason.layer, reason.rank, reason.live_bytes) for reason in explanation.layers] == [
        (2, "peak", 1536),
        (1, "runner-up", 1280),
    ]
    peak, next_ = explanation.layers
    assert peak.text == (
        "its output 256 + its input 1,024 bytes alive at once; 'kept' (256) is kept until the ADD at layer 3"
    )
    assert next_.text == (
        "its output 1,024 + its input 256 bytes alive at once; its input 'kept' is kept until the ADD at layer 3"
    )
    assert explanation.plan.startswith("The greedy plan meets the lower bound of 1,536 bytes")


def test_all_layers_of_a_tie_are_named():
    chain = Graph([T([1, 64]) for _ in range(6)], [Op("RELU", [i], [i + 1]) for i in range(5)], [0], [5])
    report = report_of(chain)
    assert [reason.layer for reason in explain(report).layers] == [0, 1, 2, 3, 4]
    text = render(report)
    assert text.count("peak at layer") == 3
    assert "as much at layers 3, 4" in text
    assert "- 2 more layers with as much as the peak" in render(report, "markdown")
    long = report_of(Graph([T([1, 64])] * 12, [Op("RELU", [i], [i + 1]) for i in range(11)], [0], [11]))
    assert "<li>3 more layers with as much as the peak</li>" in render(long, "html")
    assert "more layers with as much" not in render(report, "html")
    assert "next is" not in text


def test_scratch_is_named():
    report = report_of(small_network(), profile="cortex-m-cmsis-nn-dsp")
    assert explain(report).layers[0].text == "its output 512 + its input 192 + its scratch 112 bytes alive at once"


def test_many_waiting_buffers_are_summed_up():
    heads = Graph(
        [T([1, 16 * (i + 1)], name=f"t{i}") for i in range(6)],
        [*[Op("RELU", [0], [i]) for i in range(1, 5)], Op("PACK", [1, 2, 3, 4], [5], ("PackOptions", {}))],
        inputs=[0], outputs=[5],
    )  # fmt: skip
    text = render(report_of(heads), style=Style(width=400))
    assert "its input 't0' is kept until" not in text.split("next is")[0]
    (line,) = [line for line in text.splitlines() if line.startswith("next is")]
    assert "'t3' (64) is kept until the PACK at layer 4; 't2' (48) is kept" in line
    assert "1 more wait with 32 bytes" in line


def test_a_plan_above_the_bound_says_by_how_much_and_what_is_at_its_end():
    """The first layers of MLPerf Tiny's person detector: the largest buffers are placed first, and push t1 up."""
    sizes = [27648, 18432, 18432, 36864, 9216]
    chain = Graph([T([1, size]) for size in sizes], [Op("RELU", [i], [i + 1]) for i in range(4)], [0], [4])
    report = report_of(chain)
    plan = explain(report).plan
    assert plan == (
        "The greedy plan's head of 73,728 bytes is 18,432 (33.3 %) above the lower bound of 55,296 bytes. "
        "At its end lies 't1' (18,432 at offset 55,296), alive from layer 0 to 1."
    )
    assert plan in " ".join(render(report).split())
    assert plan not in " ".join(render(report_of(shortcut())).split())


def test_json_carries_the_explanation():
    report = report_of(shortcut())
    content = json.loads(render(report, "json"))
    jsonschema.Draft202012Validator(schema()).validate(content)
    assert [entry["rank"] for entry in content["explanation"]["layers"]] == ["peak", "runner-up"]
    assert "kept until the ADD at layer 3" in content["explanation"]["layers"][0]["text"]


def test_too_many_live_buffers_are_one_clear_error():
    count = 450  # each waits for the end, so that some hundred thousand pairs of layer and buffer would be listed
    fan = Graph(
        [T([1, 16]) for _ in range(count)],
        [*[Op("RELU", [0], [i]) for i in range(1, count - 1)], Op("PACK", [*range(1, count - 1)], [count - 1])],
        inputs=[0], outputs=[count - 1],
    )  # fmt: skip
    with pytest.raises(ModelError, match="pairs of a layer and a buffer alive"):
        report_of(fan)


def test_names_are_cut_and_made_printable():
    tensors = [dataclasses.replace(tensor, name=f"\x1b[2J{'n' * 90}{i}") for i, tensor in enumerate(shortcut().tensors)]
    text = explain(report_of(dataclasses.replace(shortcut(), tensors=tensors))).layers[0].text
    assert "\x1b" not in text
    assert "'...nnn" in text
    assert len(text) < 200


def test_a_called_subgraph_makes_outer_buffers_wait():
    outer = Graph(
        [T([1], "BOOL", name="cond"), T([1, 64], name="x"), T([1, 64], name="y")],
        [Op("IF", [0, 1], [2], ("IfOptions", {"then_subgraph_index": 1, "else_subgraph_index": 1}))],
        inputs=[0, 1], outputs=[2],
    )  # fmt: skip
    inner = Graph([T([1, 64], name="a"), T([1, 64], name="b")], [Op("RELU", [0], [1])], [0], [1])
    report = report_of(outer, inner)
    called = report.layers[1]
    assert (called.subgraph, called.time > report.layers[0].time) == (1, True)
    roles = {entry.tensor: entry.role for entry in called.live}
    assert roles == {"cond": "waiting", "x": "waiting", "y": "waiting", "a": "input", "b": "output"}
    assert all(entry.until == 0 for entry in called.live if entry.role == "waiting")


@pytest.mark.parametrize("path", sorted(MODELS.glob("m*/*.tflite")) or [None], ids=lambda path: path and path.stem)
def test_terms_add_up_on_real_models(path):
    if path is None:
        pytest.skip("needs the folder 'shared' beside the checkout")
    try:
        report = memreport(read(path), profile="cortex-m-cmsis-nn")
    except ModelError as error:
        pytest.skip(f"TFLM refuses the model: {error.message.splitlines()[0]}")
    for layer in report.layers:
        operator = {"input", "output", "scratch"}
        touched = [entry for entry in layer.live if entry.role in operator]
        assert sum(entry.bytes for entry in touched if entry.role == "scratch") == layer.scratch_bytes
        assert all(report.layers[entry.until].time >= layer.time for entry in layer.live if entry.until is not None)
        if layer.op in {"CONV_2D", "ADD", "DEPTHWISE_CONV_2D"}:
            assert layer.name in [entry.tensor for entry in layer.live if entry.role == "output"]
            assert [entry.role for entry in layer.live].count("input") == (2 if layer.op == "ADD" else 1)
    for reason in explain(report).layers:
        head = re.sub(r"\d+ (inputs|outputs)", "", reason.text.split(" bytes alive")[0])
        named = sum(int(number.replace(",", "")) for number in re.findall(r"(?<= )[\d,]+", head))
        waiting = sum(entry.bytes for entry in report.layers[reason.layer].live if entry.role == "waiting")
        assert named + waiting == reason.live_bytes
