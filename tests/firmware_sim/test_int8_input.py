"""int8 in the place of an input that is quantised at once: the file, its proof, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, convolution_options, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import InternalError, ModelError
from firmware_sim.report.shrink import ShrinkReport, render
from firmware_sim.report.shrink.json import schema
from firmware_sim.rewrite.bands.proof import prove_tensors
from firmware_sim.rewrite.bands.run import bands
from firmware_sim.rewrite.draft import finish, open_draft
from firmware_sim.rewrite.int8_input import given_before, with_int8_input
from firmware_sim.rewrite.proof import Proof, prove
from firmware_sim.rewrite.records import Record, read_records, write_records
from firmware_sim.rewrite.shrink import shrink
from sapool.cli.main import main

SCALE, ZERO = 0.0371, -11


def model(type: str = "FLOAT32", *, scale: float = SCALE, zero: int | None = None, **changes) -> bytes:
    """An input of a type, quantised to int8, and a convolution."""
    zero = (ZERO + 128 if type == "UINT8" else 0) if zero is None else zero
    graph = Graph(
        [
            T([1, 16, 16, 3], type, name="picture", scale=() if type == "FLOAT32" else (scale,), zero_point=[zero]),
            T([1, 16, 16, 3], scale=[SCALE], zero_point=[ZERO], name="quantised"),
            T([4, 3, 3, 3], data=bytes(n % 90 for n in range(108)), scale=[0.01] * 4),
            T([4], "INT32", bytes(16), scale=[0.01 * SCALE] * 4),
            T([1, 8, 8, 4], scale=[0.2], name="map"),
        ],
        [Op("QUANTIZE", [0], [1]), Op("CONV_2D", [1, 2, 3], [4], convolution_options(stride=2))],
        inputs=[0],
        outputs=[4],
    )
    return tflite(replace(graph, **changes))


@pytest.mark.oracle
@pytest.mark.parametrize("type", ["FLOAT32", "UINT8"])
def test_every_integer_stands_for_a_value_that_tflm_and_litert_quantise_to_it(type: str):
    pytest.importorskip("tflite_micro")
    pytest.importorskip("ai_edge_litert")
    from firmware_sim.run.litert import LiteRt
    from firmware_sim.run.tflm import Tflm

    content = model(type)
    draft = open_draft(content)
    graph = replace(draft.graphs[0], operators=draft.graphs[0].operators[:1], outputs=(1,))
    quantizes = finish(draft.with_graph(0, graph))
    _, old, new = (None, *read(content).subgraphs[0].tensors[:2])
    integers = np.resize(np.arange(-128, 128), (1, 16, 16, 3)).astype(np.int8)
    for runtime in (Tflm, LiteRt):
        (found,) = runtime(quantizes).invoke(given_before(integers, old, new))
        assert found.tobytes() == integers.tobytes()


@pytest.mark.oracle
@pytest.mark.parametrize("type", ["FLOAT32", "UINT8"])
def test_the_outputs_are_those_for_the_values_of_the_integers(type: str):
    pytest.importorskip("tflite_micro")
    content = model(type)
    changed, (change,) = with_int8_input(content)
    assert (change.name, change.type, change.shape, change.zero_point) == ("picture", type, (1, 16, 16, 3), ZERO)
    assert change.scale == pytest.approx(SCALE)
    subgraph = read(changed).subgraphs[0]
    (index,) = subgraph.inputs
    assert (subgraph.tensors[index].name, subgraph.tensors[index].type) == ("quantised", "INT8")
    assert [operator.op for operator in subgraph.operators] == ["CONV_2D"]
    proof = prove(content, changed, name="m", inputs=20)
    assert proof.total_bytes == memreport(read(changed)).arena.total_bytes < memreport(read(content)).arena.total_bytes
    assert prove_tensors(content, changed, name="m").compared == 1


@pytest.mark.oracle
def test_a_wrong_integer_is_found_out():
    pytest.importorskip("tflite_micro")
    changed, _ = with_int8_input(model())
    wrong = with_int8_input(model(), name="m")[0].replace(np.float32(0.2).tobytes(), np.float32(0.21).tobytes())
    assert wrong != changed
    with pytest.raises(InternalError, match="output 0 differs"):
        prove(model(), wrong, name="m", inputs=4)


def test_a_signature_names_the_new_input():
    content = model()
    root, _ = read_records(content)
    entries = [Record("TensorMap", {"name": name, "tensor_index": index}) for name, index in ((b"x", 0), (b"y", 4))]
    signature = Record("SignatureDef", {"inputs": (entries[0],), "outputs": (entries[1],), "signature_key": b"serve"})
    signed = write_records(root.replaced(signature_defs=(signature,)))
    changed, _ = with_int8_input(signed)
    (found,) = read_records(changed)[0].records("signature_defs")
    subgraph = read(changed).subgraphs[0]
    assert [one.integer("tensor_index") for one in found.records("inputs")] == list(subgraph.inputs)
    assert [one.integer("tensor_index") for one in found.records("outputs")] == list(subgraph.outputs)
    assert found.records("inputs")[0].fields["name"] == b"x"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda: with_int8_input(model())[0], "is int8 already"),
        (lambda: model("UINT8", scale=2 * SCALE), "another scale"),
        (lambda: model("UINT8", zero=3), "another scale"),
        (lambda: model(outputs=[4, 0]), "is used in several places"),
        (lambda: model(outputs=[4, 1]), "is an output once it is quantised"),
        (lambda: model("INT16", scale=0.5), "is INT16, not FLOAT32 or UINT8"),
        (lambda: model(operators=[Op("DEQUANTIZE", [1], [0])], inputs=[0]), "is read by no operator"),
        (lambda: model(operators=[Op("RELU", [0], [0])]), "is read by RELU, not by QUANTIZE"),
    ],
)
def test_what_cannot_become_int8_is_refused_with_the_reason(content, why: str):
    with pytest.raises(ModelError, match=why):
        with_int8_input(content())


@pytest.mark.oracle
def test_shrinking_reports_it_and_does_it_on_request_only():
    content = model()
    assert read(shrink(content).content).subgraphs[0].tensors[0].type == "FLOAT32"
    shrunk = shrink(content, kernels="reference", int8_input=True)
    assert shrunk.before.arena.total_bytes == memreport(read(content)).arena.total_bytes
    assert shrunk.passes[0].name == "int8-input"
    assert shrunk.after.arena.total_bytes == memreport(read(shrunk.content)).arena.total_bytes
    report = ShrinkReport(shrunk, Proof(100, 0, 0))
    text = render(report)
    assert f"scale {np.float32(SCALE):.9g}, zero point {ZERO}" in text
    assert "the old file given the values of these integers" in text
    data = json.loads(render(report, "json"))
    jsonschema.Draft202012Validator(schema()).validate(data)
    assert data["int8_inputs"][0]["zero_point"] == ZERO
    assert "THE INPUT CHANGES" not in render(ShrinkReport(shrink(content), None, "why"))


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models")
def test_bands_reach_less_than_the_float_input_takes():
    pytest.importorskip("tflite_micro")
    content = (MODELS / "mltk" / "visual_wake_words.tflite").read_bytes()
    found = bands(content, kernels="reference", int8_input=True)
    assert found.form
    assert found.shrunk.passes[0].name == "int8-input"
    proof = prove(content, found.shrunk.content, name="vww", inputs=5)
    assert proof.total_bytes == found.shrunk.after.arena.total_bytes < 4 * 96 * 96 * 3


@pytest.mark.oracle
def test_the_command(tmp_path, capsys):
    pytest.importorskip("tflite_micro")
    path, small = tmp_path / "m.tflite", tmp_path / "small.tflite"
    path.write_bytes(model())
    assert main(["shrink", str(path), "-o", str(small), "--int8-input", "--kernels", "reference"]) == 0
    assert "THE INPUT CHANGES\n  picture, FLOAT32 [1, 16, 16, 3]: give int8" in capsys.readouterr().out
    path.write_bytes(with_int8_input(model())[0])
    assert main(["shrink", str(path), "--int8-input"]) == 3
    assert "no input can become int8" in capsys.readouterr().err
