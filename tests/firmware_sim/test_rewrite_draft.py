"""Files taken apart and put together again: nothing gets lost that is not understood."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import read
from firmware_sim.errors import ModelError
from firmware_sim.memory.offline import METADATA, encode, offline_plan
from firmware_sim.model import Model
from firmware_sim.rewrite.draft import NEW_BUFFER, finish, open_draft
from firmware_sim.rewrite.records import Record, read_records, write_records
from firmware_sim.rewrite.trailing import moved


def same(one: Model, other: Model) -> bool:
    """All that the reader sees, but for names of files and numbers of buffers."""
    parts = []
    for model in (one, other):
        subgraphs = tuple(
            replace(subgraph, tensors=tuple(replace(tensor, buffer=0) for tensor in subgraph.tensors))
            for subgraph in model.subgraphs
        )
        parts.append((subgraphs, model.description, {name: bytes(data) for name, data in model.metadata.items()}))
    return parts[0] == parts[1]


def with_signature(content: bytes) -> bytes:
    root, _ = read_records(content)
    entry = Record("TensorMap", {"name": b"picture"})
    last = Record("TensorMap", {"name": b"class", "tensor_index": 13})
    signature = Record("SignatureDef", {"inputs": (entry,), "outputs": (last,), "signature_key": b"serving_default"})
    return write_records(root.replaced(signature_defs=(signature,)))


def test_an_untouched_draft_is_the_same_model():
    content = tflite(small_network(), metadata={"min_runtime_version": b"1.5.0\0\0", "note": b"x" * 33})
    again = finish(open_draft(content))
    assert same(read(content), read(again))
    assert finish(open_draft(again)) == again


def test_sparsity_signatures_and_custom_options_survive():
    graph = Graph(
        [T([1, 4]), T([1, 4]), T([4], data=b"abcd")],
        [Op("DoIt", [0, 2], [1], custom_options=b"\x01\x02\x03"), Op("ABS", [0], [1])],
        inputs=[0],
        outputs=[1],
    )
    root, end = read_records(with_signature(tflite(graph)))
    subgraph = root.records("subgraphs")[0]
    sparsity = Record("SparsityParameters", {"traversal_order": (0,), "block_map": ()})
    tensors = (*subgraph.records("tensors")[:2], subgraph.records("tensors")[2].replaced(sparsity=sparsity))
    changed = root.replaced(subgraphs=(subgraph.replaced(tensors=tensors),), signature_defs=None)
    again, _ = read_records(finish(open_draft(write_records(changed))))
    kept = again.records("subgraphs")[0]
    assert kept.records("tensors")[2].fields["sparsity"] == sparsity
    assert bytes(kept.records("operators")[0].fields["custom_options"]) == b"\x01\x02\x03"
    assert end > 0


def test_signatures_follow_their_tensors():
    draft = open_draft(with_signature(tflite(small_network())))
    graph = draft.graphs[0]
    # Without tensor 1, weights that are then nowhere named, everything behind moves down by one.
    weights = replace(graph.operators[0], inputs=(0, 4, 2))
    tensors = {index: tensor for index, tensor in graph.tensors.items() if index != 1}
    changed = draft.with_graph(0, replace(graph, tensors=tensors, operators=(weights, *graph.operators[1:])))
    root, _ = read_records(finish(changed))
    (signature,) = root.records("signature_defs")
    assert signature.fields["signature_key"] == b"serving_default"
    assert signature.records("outputs")[0].integer("tensor_index") == 12
    assert read(finish(changed)).subgraphs[0].operators[0].inputs == (0, 3, 1)


def test_unused_codes_and_buffers_go():
    content = tflite(small_network())
    draft = open_draft(content)
    graph = draft.graphs[0]
    operators, end = graph.operators[:2], graph.operators[1].outputs
    used = {index for operator in operators for index in (*operator.inputs, *operator.outputs)}
    kept = replace(
        graph, operators=operators, outputs=end, tensors={i: t for i, t in graph.tensors.items() if i in used}
    )
    root, _ = read_records(finish(draft.with_graph(0, kept)))
    assert len(root.records("operator_codes")) == 2
    assert len(root.records("buffers")) == 5  # the empty one, and weights and biases of two layers


def test_changed_constants_shapes_and_options_are_written():
    draft = open_draft(tflite(small_network()))
    graph = draft.graphs[0]
    wider = replace(graph.tensors[1], shape=(8, 4, 4, 3), data=memoryview(bytes(range(128)) * 3), buffer=NEW_BUFFER)
    padded = replace(graph.operators[0], options={**graph.operators[0].options, "padding": 1})
    changed = replace(graph, tensors={**graph.tensors, 1: wider}, operators=(padded, *graph.operators[1:]))
    subgraph = read(finish(draft.with_graph(0, changed))).subgraphs[0]
    assert subgraph.tensors[1].shape == (8, 4, 4, 3)
    assert bytes(subgraph.tensors[1].data or b"") == bytes(range(128)) * 3
    assert subgraph.operators[0].option("padding") == 1


def test_a_plan_counts_the_tensors_that_are_left():
    draft = open_draft(tflite(small_network(), metadata={METADATA: encode([None] * 14)}))
    planned = read(finish(replace(draft, offsets=({0: 0, 3: 192},))))
    assert list(offline_plan(planned).offsets) == [0, None, None, 192, *[None] * 10]
    # A plan that the file brought along counts tensors that may be gone, so that it is taken back and not kept.
    assert set(offline_plan(read(finish(draft))).offsets) == {None}


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_a_zip_of_labels_can_still_be_read(labels: bytes):
    content = tflite(small_network(), description="a" * 400)
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", labels)
        archive.writestr("more.txt", b"more")
    draft = open_draft(stream.getvalue())
    shorter = finish(replace(draft, root=draft.root.replaced(description=b"")))
    assert len(shorter) < len(stream.getvalue())
    with zipfile.ZipFile(io.BytesIO(shorter)) as archive:
        assert archive.read("labels.txt") == labels
        # Places count from the start of the file, as they did: nothing is left for readers to guess.
        assert shorter[archive.getinfo("more.txt").header_offset :][:4] == b"PK\x03\x04"
        assert archive.testzip() is None


def test_what_is_no_archive_is_left_alone():
    assert moved(b"PK\x05\x06 and no more", 100, 50) == b"PK\x05\x06 and no more"
    assert moved(b"anything" * 9, 100, 50) == b"anything" * 9
    content = tflite(small_network())
    assert finish(open_draft(content + b"anything")).endswith(b"anything")


def test_a_field_newer_than_the_schema_is_not_lost_in_silence():
    builder = flatbuffers.Builder(64)
    builder.StartObject(30)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependInt32Slot(29, 7, 0)
    builder.Finish(builder.EndObject(), b"TFL3")
    with pytest.raises(ModelError, match="slot 29, which is newer"):
        read_records(bytes(builder.Output()))
