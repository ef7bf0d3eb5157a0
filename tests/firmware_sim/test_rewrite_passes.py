"""Passes on graphs: padding folded, what does nothing removed, operators reordered; judged by TFLM where it runs."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

from firmware_sim import read
from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.clean import clean
from firmware_sim.rewrite.draft import DraftGraph, finish, open_draft
from firmware_sim.rewrite.fold_padding import fold_padding
from firmware_sim.rewrite.order_costs import order_costs
from firmware_sim.rewrite.proof import prove
from firmware_sim.rewrite.reorder import Costs, reorder
from firmware_sim.schema import PADDING


def padded(
    size: tuple[int, int],
    pads: tuple[int, int, int, int],
    kernel: int,
    stride: int,
    op: str = "CONV_2D",
    zero_point: int = -3,
    pad_zero_point: int = -3,
) -> Graph:
    """PAD (top, bottom, left, right), then a VALID convolution of int8 data with 2 channels."""
    height, width = size[0] + pads[0] + pads[1], size[1] + pads[2] + pads[3]
    out = [1, (height - kernel) // stride + 1, (width - kernel) // stride + 1, 2]
    count = 2 * kernel * kernel * (2 if op == "CONV_2D" else 1)
    weights = np.random.default_rng(kernel).integers(-127, 128, count, np.int8).tobytes()
    shape = [2, kernel, kernel, 2] if op == "CONV_2D" else [1, kernel, kernel, 2]
    options = {"padding": PADDING["VALID"], "stride_h": stride, "stride_w": stride}
    table = "Conv2DOptions" if op == "CONV_2D" else "DepthwiseConv2DOptions"
    more = {} if op == "CONV_2D" else {"depth_multiplier": 1}
    return Graph(
        [
            T([1, *size, 2], zero_point=[zero_point]),
            T([4, 2], "INT32", struct.pack("<8i", 0, 0, *pads, 0, 0), scale=()),
            T([1, height, width, 2], zero_point=[pad_zero_point]),
            T(shape, data=weights, scale=[0.01, 0.02], zero_point=[0, 0], dimension=0 if op == "CONV_2D" else 3),
            T([2], "INT32", struct.pack("<2i", 5, -7), scale=[0.005, 0.01], zero_point=[0, 0]),
            T(out, zero_point=[4]),
        ],
        [Op("PAD", [0, 1], [2], ("PadOptions", {})), Op(op, [2, 3, 4], [5], (table, {**options, **more}))],
        inputs=[0],
        outputs=[5],
    )


@pytest.mark.oracle
@given(
    st.tuples(st.integers(4, 8), st.integers(4, 8)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.integers(1, 4),
    st.integers(1, 2),
    st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"]),
)
@settings(deadline=None, max_examples=25)
def test_folded_padding_computes_the_same_in_tflm(
    size: tuple[int, int], pads: tuple[int, int, int, int], kernel: int, stride: int, op: str
):
    pytest.importorskip("tflite_micro")
    content = tflite(padded(size, pads, kernel, stride, op))
    folded = fold_padding(open_draft(content))
    if folded.graphs != open_draft(content).graphs:
        assert [operator.op for operator in folded.graphs[0].operators] == [op]
        assert prove(content, finish(folded), name="padded", inputs=8).inputs == 8


@pytest.mark.parametrize(
    ("size", "pads", "kernel", "stride", "taps"),
    [
        ((8, 8), (1, 1, 1, 1), 3, 1, 3),  # what SAME does by itself
        ((8, 8), (0, 1, 0, 1), 3, 2, 3),  # what SAME does at stride 2
        ((8, 8), (1, 1, 1, 1), 3, 2, 4),  # a row and a column of zeros in front
        ((7, 7), (1, 1, 1, 1), 3, 2, 3),
        ((8, 8), (2, 0, 2, 0), 3, 1, 5),  # causal padding: as much kernel behind
        ((8, 8), (4, 0, 4, 0), 3, 1, None),  # more rows out than in
        ((8, 8), (0, 0, 0, 0), 1, 1, 1),  # a PAD that does nothing
        ((8, 8), (3, 3, 3, 3), 3, 1, None),  # more rows out than in
    ],
)
def test_how_kernels_grow(
    size: tuple[int, int], pads: tuple[int, int, int, int], kernel: int, stride: int, taps: int | None
):
    content = tflite(padded(size, pads, kernel, stride))
    (graph,) = fold_padding(open_draft(content)).graphs
    if taps is None:
        assert [operator.op for operator in graph.operators] == ["PAD", "CONV_2D"]
    else:
        assert graph.tensors[3].shape == (2, taps, taps, 2)
        assert [operator.op for operator in graph.operators] == ["CONV_2D"]


def test_padding_that_is_not_of_the_zero_point_or_not_for_one_reader_stays():
    graph = padded((8, 8), (1, 1, 1, 1), 3, 1, pad_zero_point=5)
    assert len(fold_padding(open_draft(tflite(graph))).graphs[0].operators) == 2
    graph = padded((8, 8), (1, 1, 1, 1), 3, 1)
    kept = replace(graph, outputs=[5, 2])
    assert len(fold_padding(open_draft(tflite(kept))).graphs[0].operators) == 2


def cleaned(graph: Graph) -> DraftGraph:
    return clean(open_draft(tflite(graph))).graphs[0]


def test_identities_go():
    shape = T([2], "INT32", struct.pack("<2i", 1, 4), scale=())
    reshapes = Graph(
        [T([1, 4]), shape, T([1, 4]), T([1, 4])],
        [Op("RESHAPE", [0, 1], [2], ("ReshapeOptions", {"new_shape": [1, 4]})), Op("ABS", [2], [3])],
        inputs=[0],
        outputs=[3],
    )
    graph = cleaned(reshapes)
    assert [(operator.op, operator.inputs) for operator in graph.operators] == [("ABS", (0,))]
    assert set(graph.tensors) == {0, 3}
    # Other scales are another meaning of the same bytes.
    other = replace(reshapes, tensors=[T([1, 4]), shape, T([1, 4], scale=[0.25]), T([1, 4])])
    assert len(cleaned(other).operators) == 2


def test_an_identity_at_the_end_is_written_by_its_producer():
    graph = cleaned(
        Graph(
            [T([1, 4]), T([1, 4]), T([1, 4])],
            [Op("ABS", [0], [1]), Op("QUANTIZE", [1], [2])],
            inputs=[0],
            outputs=[2],
        )
    )
    assert [(operator.op, operator.outputs) for operator in graph.operators] == [("ABS", (2,))]
    assert graph.outputs == (2,)


def test_an_identity_from_input_to_output_stays():
    graph = cleaned(Graph([T([1, 4]), T([1, 4])], [Op("QUANTIZE", [0], [1])], inputs=[0], outputs=[1]))
    assert len(graph.operators) == 1


def test_dequantize_and_quantize_again_go_in_pairs():
    graph = cleaned(
        Graph(
            [T([1, 4]), T([1, 4], "FLOAT32", scale=()), T([1, 4]), T([1, 4])],
            [Op("DEQUANTIZE", [0], [1]), Op("QUANTIZE", [1], [2]), Op("ABS", [2], [3])],
            inputs=[0],
            outputs=[3],
        )
    )
    assert [(operator.op, operator.inputs) for operator in graph.operators] == [("ABS", (0,))]


def test_dead_and_double_parts_go_and_stateful_ones_stay():
    graph = Graph(
        [T([1, 4]), T([1, 4]), T([1, 4]), T([1, 4], data=b"abcd"), T([1, 4], data=b"abcd"), T([1, 4]), T([1, 4])],
        [Op("ABS", [0], [1]), Op("ADD", [0, 3], [2]), Op("ADD", [2, 4], [5]), Op("Blink", [0], [6])],
        inputs=[0],
        outputs=[5],
    )
    result = cleaned(graph)
    assert [operator.op for operator in result.operators] == ["ADD", "ADD", "Blink"]
    assert result.operators[1].inputs == (2, 3)
    assert set(result.tensors) == {0, 2, 3, 5, 6}


def random_graph(random: Random, count: int) -> tuple[DraftGraph, Costs]:
    tensors = {n: Tensor(n, f"t{n}", (1,), "INT8", 0) for n in range(count + 1)}
    operators = []
    for n in range(count):
        inputs = tuple({random.randint(0, n) for _ in range(random.randint(1, 2))})
        operators.append(Operator(n, "ADD", 1, inputs, (n + 1,)))
    read_somewhere = {index for operator in operators for index in operator.inputs}
    outputs = tuple(n for n in range(1, count + 1) if n not in read_somewhere)
    sizes = {n: 16 * random.randint(1, 50) for n in tensors}
    shared = {(o.index, i): random.randint(0, min(sizes[i], sizes[o.outputs[0]])) for o in operators for i in o.inputs}
    scratch = {n: 16 * random.randint(0, 4) for n in range(count)}
    return DraftGraph(tensors, tuple(operators), (0,), outputs), Costs(sizes, scratch, shared)


def peak(graph: DraftGraph, costs: Costs, order: tuple[Operator, ...]) -> int | None:
    """Straight from the definition; None if the order is not possible."""
    written, highest = set(graph.inputs), 0
    for position, operator in enumerate(order):
        if not written.issuperset(operator.inputs):
            return None
        later = {index for following in order[position + 1 :] for index in following.inputs} | set(graph.outputs)
        now = [index for index in written if index in later or index in operator.inputs]
        dying = [index for index in operator.inputs if index not in later]
        out = costs.sizes_bytes[operator.outputs[0]]
        shared = min(sum(costs.shared_bytes.get((operator.index, index), 0) for index in dying), out)
        live = sum(costs.sizes_bytes[index] for index in now) + out + costs.scratch_bytes[operator.index]
        highest = max(highest, live - shared)
        written.update(operator.outputs)
    return max(highest, sum(costs.sizes_bytes[index] for index in graph.inputs))


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_no_order_is_better_than_the_one_found(seed: int, count: int):
    graph, costs = random_graph(Random(seed), count)
    ordered, found = reorder(graph, costs)
    peaks = [value for order in permutations(graph.operators) if (value := peak(graph, costs, order)) is not None]
    assert peak(graph, costs, ordered.operators) == found.peak_bytes == found.bound_bytes == min(peaks)


def test_a_good_order_is_kept_and_a_bad_one_changed():
    # Two branches: one grows and shrinks again, the other only grows. Finishing the first before the other is best.
    sizes = {0: 16, 1: 640, 2: 16, 3: 320, 4: 336}
    tensors = {n: Tensor(n, f"t{n}", (1,), "INT8", 0) for n in sizes}
    names = ((0, (0,), 1), (1, (0,), 3), (2, (1,), 2), (3, (2, 3), 4))
    operators = tuple(Operator(n, "ADD", 1, inputs, (output,)) for n, inputs, output in names)
    graph = DraftGraph(tensors, operators, (0,), (4,))
    ordered, found = reorder(graph, Costs(sizes, {}, {}))
    assert [operator.index for operator in ordered.operators] == [0, 2, 1, 3]
    assert found.peak_bytes == 672
    assert reorder(ordered, Costs(sizes, {}, {}))[0] is ordered


def test_a_wide_graph_falls_back_to_a_beam_with_a_bound():
    # Thirty independent branches have 2^30 sets.
    operators = [Operator(n, "ABS", 1, (0,), (n + 1,)) for n in range(30)]
    operators.append(Operator(30, "PACK", 1, tuple(range(1, 31)), (31,)))
    tensors = {n: Tensor(n, f"t{n}", (1,), "INT8", 0) for n in range(32)}
    sizes = {n: 16 * (1 + n % 7) for n in tensors}
    _, found = reorder(DraftGraph(tensors, tuple(operators), (0,), (31,)), Costs(sizes, {}, {}))
    assert found.bound_bytes <= found.peak_bytes == sum(sizes.values()) - sizes[0]


def test_stateful_operators_keep_their_order():
    tensors = {n: Tensor(n, f"t{n}", (1,), "INT8", 0) for n in range(4)}
    operators = tuple(
        Operator(n, op, 1, (0,), (n + 1,), is_custom=is_custom)
        for n, (op, is_custom) in enumerate((("Blink", True), ("ABS", False), ("Blink", True)))
    )
    sizes = {0: 16, 1: 640, 2: 16, 3: 16}
    ordered, _ = reorder(DraftGraph(tensors, operators, (0,), (1, 2, 3)), Costs(sizes, {}, {}))
    order = [operator.index for operator in ordered.operators]
    assert order.index(0) < order.index(2)


def test_costs_come_from_rules_and_kernels():
    costs = order_costs(read(tflite(small_network())), "cmsis-nn-mve")
    assert costs.sizes_bytes[3] == 512
    assert costs.scratch_bytes[1] == 4 * 124 * 9
    # A 3x3 convolution from 3 to 8 channels needs nearly all of its output above; a RESHAPE shares everything.
    assert costs.shared_bytes[3, 7] == 16
    assert (4, 9) not in costs.shared_bytes


def test_options_of_the_helper_are_those_of_the_schema():
    assert convolution_options("VALID")[1]["padding"] == PADDING["VALID"]
