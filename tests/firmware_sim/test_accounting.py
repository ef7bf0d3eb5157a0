"""The report as a whole: what adds up, what is marked, what is admitted."""

from __future__ import annotations

import dataclasses
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

import firmware_sim
from firmware_sim import memreport, profiles, read
from firmware_sim.errors import FileError, ModelError, UsageError

SMALL = read(tflite(small_network()), name="small.tflite")


@pytest.mark.parametrize("profile", profiles.names())
def test_figures_add_up(profile: str):
    report = memreport(SMALL, profile=profile)
    arena = report.arena
    assert report.profile.id == profile
    assert arena.exact
    assert arena.unmodelled == ()
    assert arena.total_bytes == arena.head_bytes + arena.tail_bytes
    assert sum(part.bytes for part in arena.tail) == arena.tail_bytes
    assert arena.head_bytes == max(buffer.offset + buffer.bytes for buffer in report.buffers)
    assert arena.lower_bound_bytes == max(layer.live_bytes for layer in report.layers)
    assert arena.gap_bytes == arena.head_bytes - arena.lower_bound_bytes >= 0
    assert arena.minimum_bytes is not None
    assert arena.minimum_bytes >= arena.total_bytes
    by_part = {part.name: part.bytes for part in arena.tail}
    assert sum(layer.persistent_bytes for layer in report.layers) == by_part["builtin data"] + by_part["kernel data"]
    for layer in report.layers:
        assert layer.live_bytes == sum(buffer.bytes for buffer in layer.live)
        assert layer.scratch_bytes <= layer.live_bytes
        assert layer.peak == (layer.live_bytes == arena.lower_bound_bytes)
    assert report.flash.model_bytes == SMALL.size_bytes
    assert report.flash.code_bytes is None
    assert "code_bytes" in report.flash.inexact


def test_a_path_or_the_contents_will_do(tmp_path: Path):
    path = tmp_path / "small.tflite"
    path.write_bytes(tflite(small_network()))
    by_path, by_name, by_content = (memreport(one) for one in (path, str(path), path.read_bytes()))
    assert by_path == by_name == memreport(read(path))
    assert (by_content.arena, by_content.model.path) == (by_path.arena, "<bytes>")
    with pytest.raises(FileError, match=r"none\.tflite"):
        memreport(tmp_path / "none.tflite")


def test_layers_of_the_small_network():
    report = memreport(SMALL)
    first = report.layers[0]
    assert (first.index, first.op, first.name) == (0, "CONV_2D", "features")
    # image 192 and features 512, both multiples of 16
    assert [(buffer.tensor, buffer.bytes) for buffer in first.live] == [("features", 512), ("image", 192)]
    assert first.live_bytes == 704
    assert [layer.peak for layer in report.layers] == [True, False, False, False, False, False]
    assert report.arena.head_bytes == 704


def test_cmsis_scratch_shows_in_its_layer():
    report = memreport(SMALL, profile="cortex-m-cmsis-nn-dsp")
    # im2col: 4 bytes times 27 columns rounded up to 28
    assert report.layers[0].scratch_bytes == 112
    scratch = [buffer for buffer in report.buffers if buffer.kind == "scratch"]
    assert [buffer.name for buffer in scratch] == ["CONV_2D 0 scratch 1", "AVERAGE_POOL_2D 2 scratch 1"]
    assert [buffer.bytes for buffer in scratch] == [112, 32]
    assert all(buffer.first == buffer.last for buffer in scratch)


@pytest.mark.parametrize("op", ["GELU", "MyOwnOp"])
def test_unknown_operator_is_admitted(op: str):
    model = read(tflite(Graph([T([4]), T([4])], [Op(op, [0], [1])], [0], [1])))
    report = memreport(model)
    arena = report.arena
    assert not arena.exact
    assert op in arena.unmodelled[0]
    assert arena.minimum_bytes is None
    assert {"total_bytes", "head_bytes", "tail_bytes", "minimum_bytes"} <= arena.inexact.keys()
    assert "persistent_bytes" in report.layers[0].inexact


def test_type_that_no_kernel_takes_is_refused_or_admitted():
    model = read(tflite(Graph([T([4], "UINT8"), T([4], "UINT8")], [Op("SOFTMAX", [0], [1])], [0], [1])))
    with pytest.raises(ModelError, match="UINT8"):
        memreport(model)
    # The kernels of CMSIS-NN were not executed with it.
    arena = memreport(model, profile="cortex-m-cmsis-nn").arena
    assert not arena.exact
    assert "UINT8" in arena.unmodelled[0]


def test_custom_operator_with_a_builtin_name_is_unknown():
    graph = Graph([T([4]), T([4])], [Op("SignalPCAN", [0], [1])], [0], [1])
    assert memreport(read(tflite(graph))).arena.exact
    custom = dataclasses.replace(read(tflite(graph)).subgraphs[0].operators[0], op="SOFTMAX")
    model = read(tflite(graph))
    subgraph = dataclasses.replace(model.subgraphs[0], operators=(custom,))
    assert not memreport(dataclasses.replace(model, subgraphs=(subgraph,))).arena.exact


def test_uninitialised_stride_of_tflm_is_admitted():
    """A depthwise convolution of one channel over a row, with Helium: TFLM reads a variable that it never set."""
    constant = bytes(64)
    graph = Graph(
        [T([1, 1, 16, 1]), T([1, 1, 3, 4], data=constant[:12], dimension=3), T([1, 1, 16, 4])],
        [
            Op(
                "DEPTHWISE_CONV_2D",
                [0, 1],
                [2],
                ("DepthwiseConv2DOptions", {"stride_w": 1, "stride_h": 1, "depth_multiplier": 4}),
            )
        ],
        [0],
        [2],
    )
    model = read(tflite(graph))
    arena = memreport(model, profile="cortex-m-cmsis-nn-mve").arena
    assert not arena.exact
    assert "uninitialised" in arena.unmodelled[0]
    assert arena.minimum_bytes is not None
    assert memreport(model, profile="cortex-m-cmsis-nn-dsp").arena.exact


def test_hybrid_model_is_refused():
    graph = Graph(
        [T([1, 4, 4, 2], "FLOAT32", scale=()), T([3, 1, 1, 2], data=bytes(6)), T([1, 4, 4, 3], "FLOAT32", scale=())],
        [Op("CONV_2D", [0, 1], [2], convolution_options())],
        [0],
        [2],
    )
    with pytest.raises(ModelError, match="hybrid") as caught:
        memreport(read(tflite(graph), name="hybrid.tflite"))
    assert caught.value.where == "hybrid.tflite"


def test_open_shapes_are_refused():
    graph = Graph([T([-1, 4]), T([1, 4])], [Op("ABS", [0], [1])], [0], [1])
    with pytest.raises(ModelError, match=r"\[-1, 4\]"):
        memreport(read(tflite(graph)))


@pytest.mark.parametrize(
    ("words", "data"),
    [("truncated", b"\1"), ("holds 3 offsets for 14 tensors", struct.pack("<6i", 1, 0, 3, -1, -1, -1))],
)
def test_damaged_offline_plan_is_refused(words: str, data: bytes):
    model = read(tflite(small_network(), metadata={"OfflineMemoryAllocation": data}))
    with pytest.raises(ModelError, match=words):
        memreport(model)


def test_offline_plan_that_overlaps_is_admitted():
    plan = struct.pack("<17i", 1, 0, 14, *[0] * 14)
    arena = memreport(read(tflite(small_network(), metadata={"OfflineMemoryAllocation": plan}))).arena
    assert arena.head_bytes == 512
    assert "overlap" in arena.inexact["lower_bound_bytes"]


def test_compression_is_admitted_where_it_is_built_in():
    model = read(tflite(small_network(), metadata={"COMPRESSION_METADATA": b"\0"}))
    assert not memreport(model, profile="host64").arena.exact
    assert memreport(model, profile="cortex-m-reference").arena.exact


def test_string_tensors_are_refused():
    graph = Graph([T([4], "STRING"), T([4])], [Op("ABS", [1], [1])], [1], [1])
    with pytest.raises(ModelError, match="STRING"):
        memreport(read(tflite(graph)))


def test_target_brings_its_profile():
    from firmware_sim import targets

    target = targets.all()[0]
    report = memreport(SMALL, target=target.id)
    assert report.profile.id == target.profile
    assert report.target is not None
    assert report.target.id == target.id
    assert memreport(SMALL, target=target, profile="host64").profile.id == "host64"


def test_unknown_names():
    with pytest.raises(UsageError, match="host64"):
        memreport(SMALL, profile="host128")
    with pytest.raises(UsageError):
        memreport(SMALL, target="no such board")


def test_many_layers_are_fast():
    """A hundred layers take milliseconds, not more; the limit leaves room for a busy machine."""
    tensors = [T([1, 8, 8, 8]) for _ in range(101)]
    graph = Graph(tensors, [Op("RELU", [i], [i + 1]) for i in range(100)], [0], [100])
    model = read(tflite(graph))
    memreport(model)
    begin = time.perf_counter()
    memreport(model)
    assert time.perf_counter() - begin < 0.2


def test_import_is_light():
    code = "import sys, firmware_sim; print(*sorted({'numpy', 'torch', 'click', 'rich', 'flatbuffers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_resolve():
    assert all(getattr(firmware_sim, name) for name in firmware_sim.__all__)
    assert set(firmware_sim.__all__) <= set(dir(firmware_sim))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = firmware_sim.nonsense


@pytest.mark.parametrize("kept", [1, 8])
def test_a_model_at_the_limits_of_the_reader_takes_seconds(kept: int):
    """As many operators as are read, each reading the output of an operator up to `kept` places before it."""
    count = 9_990
    tensors = [T([4 + 16 * (index * 37 % 101)]) for index in range(count)]
    operators = [Op("RELU", [max(0, index - 1 - index % kept)], [index]) for index in range(1, count)]
    data = tflite(Graph(tensors, operators, [0], [count - 1]))
    started = time.process_time()
    assert len(memreport(read(data)).layers) == count - 1
    assert time.process_time() - started < 5


def test_buffers_that_are_all_alive_are_refused_before_they_are_planned():
    count = 3_000
    operators = [Op("RELU", [0], [index]) for index in range(1, count)]
    data = tflite(Graph([T([4])] * count, operators, [0], list(range(1, count))))
    with pytest.raises(ModelError, match=r"4,498,500 pairs of buffers"):
        memreport(read(data))
