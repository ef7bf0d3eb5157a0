"""Models that are not rewritten, and plans that nobody can follow: an error each, soon, and nothing is lost."""

from __future__ import annotations

import random
import time

import pytest
from support.tflite_files import Graph, Op, T, convolution_options, doubling_convolution, small_network, tflite

from firmware_sim import read
from firmware_sim.errors import FileError, ModelError
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.overlap import stored
from firmware_sim.overlap.replay import NOT_FOLLOWED
from firmware_sim.rewrite.acceptance import check
from firmware_sim.rewrite.shrink import shrink
from firmware_sim.schema import PADDING

ADD = ("AddOptions", {})
ROW = T([64], "FLOAT32", scale=(), name="row")


def graph(*operators: tuple[list[int], list[int]], rows: int = 4) -> bytes:
    """Sums of rows; row 0 is the input, the last one the output, row 1 a constant."""
    tensors = [ROW, T([64], "FLOAT32", data=bytes(256), scale=(), name="constant"), *[ROW] * (rows - 2)]
    return tflite(Graph(tensors, [Op("ADD", inputs, outputs, ADD) for inputs, outputs in operators], [0], [rows - 1]))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (graph(([0, 0], [2]), ([0, 0], [2]), ([2, 2], [3])), r"operator 1 \(ADD\) writes tensor 'row'"),
        (graph(([2, 0], [3]), ([0, 0], [2])), r"operator 0 \(ADD\) reads tensor 'row' before"),
        (graph(([2, 0], [2]), ([2, 2], [3])), r"operator 0 \(ADD\) reads tensor 'row' before"),
        (graph(([0, 0], [0]), ([0, 0], [3])), r"operator 0 \(ADD\) writes tensor 'row'"),
        (graph(([0, 0], [1]), ([1, 1], [3])), r"operator 0 \(ADD\) writes tensor 'constant'"),
    ],
)
def test_tensors_get_their_values_once_and_before_they_are_read(content: bytes, fault: str):
    with pytest.raises(ModelError, match=fault):
        check(read(content))
    with pytest.raises(ModelError):
        shrink(content, kernels="reference")


def test_sound_models_pass():
    for content in (tflite(small_network()), doubling_convolution(), graph(([0, 1], [2]), ([2, 2], [3]))):
        check(read(content))


def huge(channels: int) -> bytes:
    weights = [
        T([channels, 1, 1, 8], data=bytes(channels * 8), scale=[0.1] * channels),
        T([channels], "INT32", bytes(channels * 4), scale=[0.05] * channels),
    ]
    tensors = [T([1, 1024, 1024, 8]), *weights, T([1, 1024, 1024, channels])]
    return tflite(Graph(tensors, [Op("CONV_2D", [0, 1, 2], [3], convolution_options())], [0], [3]))


def test_tensors_for_no_microcontroller_are_refused_at_once():
    started = time.process_time()
    with pytest.raises(ModelError, match="tensors hold 75,497,472 bytes"):
        shrink(huge(64))
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "metadata",
    [
        {METADATA: encode([0, None, None, 1 << 30])},
        {METADATA: encode([0, None, None, 1 << 20]), RECORD: stored.record("any", storages=[{0: 0, 3: 1 << 40}])},
    ],
)
def test_a_plan_that_reaches_too_far_is_not_followed(metadata: dict[str, bytes]):
    network = Graph(
        [ROW, T([64], "FLOAT32", data=bytes(256), scale=()), ROW, ROW], [Op("ADD", [0, 1], [3], ADD)], [0], [3]
    )
    model = read(tflite(network, metadata=metadata))
    assert stored.damages(model, "reference") == (NOT_FOLLOWED,)
    assert stored.safe_libraries(model) == ()


def test_damaged_files_give_a_result_or_one_error():
    random_numbers = random.Random(1)
    seeds = [doubling_convolution(), tflite(small_network()), graph(([0, 1], [2]), ([2, 2], [3]))]
    refused = 0
    for _ in range(300):
        content = bytearray(random_numbers.choice(seeds))
        for _ in range(random_numbers.randrange(1, 4)):
            content[random_numbers.randrange(len(content))] = random_numbers.randrange(256)
        try:
            shrink(bytes(content), kernels="reference", time_s=0.1)
        except FileError:  # which ends the command with 3, as other errors do not
            refused += 1
    assert 30 < refused < 300


def test_a_window_far_larger_than_the_map_is_followed_at_once():
    pool = (
        "Pool2DOptions",
        {"padding": PADDING["SAME"], "stride_w": 1, "stride_h": 1, "filter_width": 2**31 - 1, "filter_height": 3},
    )
    content = tflite(Graph([T([1, 8, 8, 8])] * 2, [Op("AVERAGE_POOL_2D", [0], [1], pool)], [0], [1]))
    started = time.process_time()
    shrink(content, kernels="any")
    assert time.process_time() - started < 5
