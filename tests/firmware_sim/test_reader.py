"""What the reader reads, and what it refuses."""

from __future__ import annotations

import dataclasses
import random
import struct
from pathlib import Path

import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.errors import FileError, ModelError, SapoolError
from firmware_sim.schema import OPERATORS

SMALL = tflite(small_network(), metadata={"note": b"hello"})


def test_reads_what_was_written():
    model = read(SMALL, name="small")
    assert model.path == "small"
    assert model.size_bytes == len(SMALL)
    assert model.description == "a test"
    assert bytes(model.metadata["note"]) == b"hello"
    (graph,) = model.subgraphs
    assert (graph.inputs, graph.outputs, graph.name) == ((0,), (13,), "main")
    assert [operator.op for operator in graph.operators] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "SOFTMAX",
    ]  # fmt: skip
    convolution = graph.operators[0]
    assert convolution.inputs == (0, 1, 2)
    assert convolution.options["stride_w"] == 1
    assert convolution.options["dilation_w_factor"] == 1  # a default that is not stored
    assert graph.operators[3].options["new_shape"] == (1, 8)
    weights = graph.tensors[4]
    assert (weights.shape, weights.type, weights.elements) == ((1, 3, 3, 8), "INT8", 72)
    assert weights.quantization is not None
    assert (len(weights.quantization.scale), weights.quantization.dimension) == (8, 3)
    assert weights.data is not None
    assert len(weights.data) == 72
    assert graph.tensors[3].data is None
    assert graph.tensors[8].quantization is None


def test_weights_are_views_into_the_file():
    data = read(SMALL).subgraphs[0].tensors[1].data
    assert data is not None
    assert data.obj is SMALL
    assert data.readonly


def test_reads_a_path(tmp_path: Path):
    path = tmp_path / "model.tflite"
    path.write_bytes(SMALL)
    assert read(path) == dataclasses.replace(read(SMALL), path=str(path))
    assert read(str(path)).path == str(path)


@pytest.mark.parametrize("value", ["builtin_code", "deprecated_builtin_code"])
def test_either_field_of_the_operator_code_counts(value: str, monkeypatch: pytest.MonkeyPatch):
    graph = Graph([T([4]), T([4])], [Op("SOFTMAX", [0], [1])], [0], [1])
    import support.tflite_files as files

    table = files._Writer.table

    def keep_one(writer, fields, values):
        if "builtin_code" in values:
            values = {key: values[key] for key in values if "builtin" not in key or key == value}
        return table(writer, fields, values)

    monkeypatch.setattr(files._Writer, "table", keep_one)
    assert read(tflite(graph)).subgraphs[0].operators[0].op == "SOFTMAX"


def test_custom_operator_has_its_own_name():
    graph = Graph([T([4]), T([4])], [Op("MyOp", [0], [1], custom_options=b"\1\2")], [0], [1])
    (operator,) = read(tflite(graph)).subgraphs[0].operators
    assert operator.op == "MyOp"
    assert operator.is_custom
    assert operator.custom_options == b"\1\2"
    assert "MyOp" not in OPERATORS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\x1c\0\0\0TF", "truncated"),
        (b"<!DOCTYPE html><html>", "not a .tflite file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (SMALL[:200], "truncated"),
        (SMALL[:8], "truncated"),
    ],
)
def test_what_is_no_model_is_refused(data: bytes, words: str):
    with pytest.raises(ModelError, match=words) as caught:
        read(data, name="broken.tflite")
    assert caught.value.where == "broken.tflite"
    assert caught.value.exit_code == 3


def test_missing_file(tmp_path: Path):
    with pytest.raises(FileError, match="No such file"):
        read(tmp_path / "absent.tflite")
    with pytest.raises(FileError, match="cannot read"):
        read(tmp_path)
    with pytest.raises(FileError, match="cannot read"):
        read("a\0b")


def replaced(index: int, **changes: object) -> bytes:
    """The small network with one tensor changed."""
    graph = small_network()
    tensors = [*graph.tensors]
    tensors[index] = dataclasses.replace(tensors[index], **changes)
    return tflite(dataclasses.replace(graph, tensors=tensors))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tflite(small_network(), version=2), "schema version 2"),
        (replaced(0, shape=[1 << 20, 1 << 20]), "more than 2147483647 elements"),
        (replaced(0, shape=[1, -2]), "size -2"),
        (replaced(1, shape=[9, 3, 3, 3]), "243 bytes, of which the file holds 216"),
        (replaced(0, buffer=99), "buffer 99"),
        (tflite(dataclasses.replace(small_network(), inputs=[14])), "tensor 14 of 14"),
        (tflite(Graph([T([1])], [Op("ABS", [0], [7])], [0], [0])), "tensor 7 of 1"),
        (tflite(Graph([T([1])], [Op("ABS", [-2], [0])], [0], [0])), "tensor -2 of 1"),
        (tflite(), "no subgraph"),
    ],
)  # fmt: skip
def test_nonsense_is_refused(data: bytes, words: str):
    with pytest.raises(ModelError, match=words):
        read(data)


def test_weights_outside_the_flatbuffer_are_refused():
    data = tflite(small_network(), buffer_fields={"offset": 4096, "size": 64, "data": None})
    with pytest.raises(ModelError, match="outside the flatbuffer") as caught:
        read(data)
    assert "activations" in (caught.value.hint or "")


def test_overlapping_parts_do_not_unfold_without_end():
    """Thousands of subgraph offsets that all point to the same large subgraph."""
    graph = Graph([T([1], name="x" * 4000)] * 200, [], [0], [0])
    data = tflite(*[graph] * 2)
    many = 200_000
    # The root's vector of subgraphs is replaced by a longer one at the end of the file, each entry at the same table.
    root = struct.unpack_from("<I", data, 0)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    slot = root + struct.unpack_from("<H", data, vtable + 4 + 2 * 2)[0]
    vector = slot + struct.unpack_from("<I", data, slot)[0]
    subgraph = vector + 4 + struct.unpack_from("<I", data, vector + 4)[0]
    grown = bytearray(data) + bytes(-len(data) % 4)
    start = len(grown)
    struct.pack_into("<I", grown, slot, start - slot)
    grown += struct.pack("<I", many)
    # Unsigned offsets cannot point backwards, but they wrap in readers of 32 bits; here they must leave the file.
    grown += b"".join(struct.pack("<I", (subgraph - (start + 4 + 4 * i)) % 2**32) for i in range(many))
    with pytest.raises(ModelError, match="damaged"):
        read(bytes(grown))


def test_shared_vectors_are_counted():
    """Ten thousand tensors that share one long name: the file is small, its contents are not."""
    count, length = 9_000, 60_000
    graph = Graph([T([1], name="n", scale=())] * count, [], [0], [0])
    data = bytearray(tflite(graph))
    model = read(bytes(data))
    assert len(model.subgraphs[0].tensors) == count
    # Each tensor's name offset is redirected to one string at the end of the file.
    end = len(data) + (-len(data) % 4)
    data += bytes(end - len(data)) + struct.pack("<I", length) + b"y" * length + b"\0"
    for position in name_fields(bytes(data)):
        struct.pack_into("<I", data, position, end - position)
    with pytest.raises(ModelError, match="overlap"):
        read(bytes(data))


def name_fields(data: bytes) -> list[int]:
    """Positions of the offsets of all tensors' names in the first subgraph."""

    def follow(position: int) -> int:
        return position + struct.unpack_from("<I", data, position)[0]

    def field(table: int, slot: int) -> int:
        vtable = table - struct.unpack_from("<i", data, table)[0]
        return table + struct.unpack_from("<H", data, vtable + 4 + 2 * slot)[0]

    subgraphs = follow(field(follow(0), 2))
    tensors = follow(field(follow(subgraphs + 4), 0))
    count = struct.unpack_from("<I", data, tensors)[0]
    return [field(follow(tensors + 4 + 4 * index), 3) for index in range(count)]


def test_mutated_files_never_surprise():
    """A few hundred damaged files: each is read and accounted for, or refused in words."""
    random_source = random.Random(5)
    codes = [_outcome(random_source) for _ in range(600)]
    assert set(codes) == {0, 3}
    assert min(codes.count(0), codes.count(3)) > 50


def _outcome(random_source: random.Random) -> int:
    """0 if a damaged file still gives a report, else the exit code of the error."""
    data = bytearray(SMALL)
    for _ in range(random_source.choice((1, 1, 2, 8))):
        data[random_source.randrange(8, len(data))] = random_source.choice((0, 1, 127, 128, 255))
    try:
        memreport(read(bytes(data)), profile="cortex-m-cmsis-nn-mve")
    except SapoolError as error:
        return error.exit_code
    return 0


def test_truncated_files_never_surprise():
    for length in range(0, len(SMALL) - 1, 7):
        try:
            read(SMALL[:length])
        except ModelError:
            continue
        pytest.fail(f"the first {length} bytes were taken for a model")
