"""Multiply-accumulates and weights, against loops that count them one by one and against published figures."""

from __future__ import annotations

import itertools

import pytest
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import costs, memreport, read
from firmware_sim.model import Operator, Tensor

# Totals that `mltk summarize` prints, as the models' documentation quotes them: siliconlabs/mltk at 01a8b7b,
# mltk/models/{tinyml,tflite_micro,examples}/NAME.py, "Total MACs". The first four are MLPerf Tiny's networks.
PUBLISHED = {
    "anomaly_detection": "264.192 k",
    "image_classification__2": "12.502 M",
    "keyword_spotting": "2.657 M",
    "visual_wake_words": "7.490 M",
    "tflite_micro_magic_wand": "62.016 k",
    "autoencoder_example": "10.240 k",
}


def macs(op: str, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], **options: int) -> int:
    shapes = [*inputs, output]
    tensors = [Tensor(index, f"t{index}", shape or (), "INT8", 0) for index, shape in enumerate(shapes)]
    indices = tuple(-1 if shape is None else index for index, shape in enumerate(inputs))
    return costs.macs(Operator(0, op, 1, indices, (len(inputs),), options), tensors)


def count(*sizes: int) -> int:
    """Iterations of nested loops over these sizes, run and counted."""
    return sum(1 for _ in itertools.product(*map(range, sizes)))


def test_convolution_meets_each_weight_at_each_position():
    # rows, columns, filters, and in each of them kernel rows, kernel columns, channels
    assert macs("CONV_2D", [(1, 6, 5, 3), (4, 3, 2, 3), (4,)], (1, 6, 5, 4)) == count(6, 5, 4, 3, 2, 3)


def test_a_grouped_convolution_meets_the_depth_of_one_group():
    assert macs("CONV_2D", [(1, 4, 4, 8), (6, 3, 3, 4), None], (1, 4, 4, 6)) == count(4, 4, 6, 3, 3, 4)


def test_depthwise_convolution_meets_one_channel():
    assert macs("DEPTHWISE_CONV_2D", [(2, 6, 6, 3), (1, 3, 3, 6), (6,)], (2, 3, 3, 6)) == count(2, 3, 3, 6, 3, 3)


def test_transpose_convolution_spreads_each_element():
    assert macs("TRANSPOSE_CONV", [(4,), (5, 3, 2, 3), (1, 4, 4, 3)], (1, 8, 8, 5)) == count(4, 4, 3, 5, 3, 2)


@pytest.mark.parametrize(("data", "rows"), [((1, 12), 1), ((3, 12), 3), ((1, 2, 3, 4), 2), ((12,), 1)])
def test_fully_connected_flattens_its_data(data, rows):
    assert macs("FULLY_CONNECTED", [data, (5, 12), (5,)], (rows, 5)) == count(rows, 5, 12)


@pytest.mark.parametrize(("adj_x", "left"), [(0, (2, 3, 4, 5)), (1, (2, 3, 5, 4))])
def test_batch_matmul_sums_over_the_inner_axis(adj_x, left):
    assert macs("BATCH_MATMUL", [left, (2, 3, 5, 6)], (2, 3, 4, 6), adj_x=adj_x) == count(2, 3, 4, 6, 5)


def test_svdf_filters_features_then_time():
    assert macs("SVDF", [(2, 7), (6, 7), (6, 5), None, (2, 30)], (2, 3), rank=2) == count(2, 6, 7) + count(2, 6, 5)


@pytest.mark.parametrize("time_major", [0, 1])
def test_lstm_multiplies_eight_matrices_a_step(time_major):
    batch, steps, width, state = 2, 3, 4, 5
    data = (steps, batch, width) if time_major else (batch, steps, width)
    inputs = [data, *[(state, width)] * 4, *[(state, state)] * 4, None, None, None, *[(state,)] * 4]
    expected = 4 * (count(batch, steps, state, width) + count(batch, steps, state, state))
    assert macs("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, (batch, steps, state), time_major=time_major) == expected


@pytest.mark.parametrize(
    ("op", "inputs"),
    [("ADD", [(1, 4), (1, 4)]), ("AVERAGE_POOL_2D", [(1, 4, 4, 2)]), ("RESHAPE", [(1, 4)]), ("SOFTMAX", [(1, 4)])],
)
def test_what_multiplies_no_matrices_counts_nothing(op, inputs):
    assert macs(op, inputs, (1, 4)) == 0


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("CONV_2D", [(1, 4, 4, 2)]), ("CONV_2D", [(1, 4), (4, 4)]), ("FULLY_CONNECTED", [(1, 4), (4, 0)]),
        ("FULLY_CONNECTED", [(1, 4), None]), ("BATCH_MATMUL", [(), ()]), ("SVDF", [(), (1, 1), (1, 1)]),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(2, 3)]), ("TRANSPOSE_CONV", []),
    ],
)  # fmt: skip
def test_shapes_that_no_kernel_takes_count_nothing(op, inputs):
    assert macs(op, inputs, (1, 4)) == 0


def test_a_custom_operator_of_a_known_name_is_not_known():
    tensors = [Tensor(0, "x", (1, 4), "INT8", 0), Tensor(1, "w", (4, 4), "INT8", 0), Tensor(2, "y", (1, 4), "INT8", 0)]
    operator = Operator(0, "FULLY_CONNECTED", 1, (0, 1), (2,))
    assert costs.macs(operator, tensors) == 16
    assert costs.macs(Operator(0, "FULLY_CONNECTED", 1, (0, 1), (2,), is_custom=True), tensors) == 0


def test_layers_of_the_small_network():
    layers = memreport(read(tflite(small_network()), name="small.tflite")).layers
    # By hand: 8x8 positions, 8 filters of 3x3x3; 4x4 positions, 8 channels, 3x3; 4 outputs of 8.
    assert [layer.macs for layer in layers] == [64 * 8 * 27, 16 * 8 * 9, 0, 0, 4 * 8, 0]
    # Weights and int32 biases; the new shape of RESHAPE is two int32.
    assert [layer.weight_bytes for layer in layers] == [216 + 32, 72 + 32, 0, 8, 32 + 16, 0]


def test_a_constant_that_is_read_twice_by_one_operator_counts_once():
    graph = Graph([T([1, 4], data=bytes(4)), T([1, 4])], [Op("ADD", [0, 0], [1])], [], [1])
    assert memreport(read(tflite(graph), name="m")).layers[0].weight_bytes == 4


@pytest.mark.oracle
def test_mlperf_tinys_autoencoder_has_its_published_macs():
    """640-128-128-128-128-8-128-128-128-128-640, https://github.com/mlcommons/tiny, anomaly_detection; 264.192 k MACs."""
    widths = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128, 640]
    pairs = itertools.pairwise(widths)
    assert sum(macs("FULLY_CONNECTED", [(1, i), (o, i), (o,)], (1, o)) for i, o in pairs) == 264_192


@pytest.mark.oracle
@pytest.mark.parametrize("name", PUBLISHED)
def test_models_have_their_published_macs(name):
    path = MODELS / "mltk" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("needs the folder 'shared' beside the checkout")
    total = sum(layer.macs for layer in memreport(read(path)).layers)
    published, unit = PUBLISHED[name].split()
    assert f"{total / {'k': 1e3, 'M': 1e6}[unit]:.3f}" == published
