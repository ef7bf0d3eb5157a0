"""Single operators under many scales: the choices of the quantiser are what makes TFLM and LiteRT agree."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

from exporters.errors import ExportError
from exporters.flatbuffer import serialise
from exporters.graph import Graph, Operator, Quantization, Tensor
from exporters.lower import Builder
from exporters.parity import compare
from exporters.quantize import Range, quantize
from exporters.quantize.exact import Constraint, exact_scales, is_exact, rounds_alike
from exporters.quantize.scales import rounds_clearly

pytestmark = pytest.mark.oracle

EVERY_INTEGER = np.arange(-128, 128).astype(np.int8).reshape(1, 1, 1, 256)


def ranges(count):
    """Ranges of many sizes, a third of them without negative values."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        low = 0.0 if rng.random() < 1 / 3 else -float(10 ** rng.uniform(-3, 2))
        yield Range(low, float(10 ** rng.uniform(-3, 2)))


def differing(op, source, output, options=None):
    shape = (1, 1, 1, 256)
    tensors = {"x": Tensor("x", shape, "int8", None, source), "y": Tensor("y", shape, "int8", None, output)}
    graph = Graph(tensors, (Operator(op, ("x",), ("y",), options or {}),), ("x",), ("y",))
    return compare(serialise(graph, description=op), EVERY_INTEGER).differing


def image(op, span):
    """The range of an activation over a range."""
    x = np.linspace(span.low, span.high, 513)
    y = {
        "HARD_SWISH": x * np.clip(x + 3, 0, 6) / 6, "RELU": np.maximum(x, 0), "RELU6": np.clip(x, 0, 6),
        "LEAKY_RELU": np.where(x > 0, x, 0.1 * x), "LOGISTIC": 1 / (1 + np.exp(-x)), "TANH": np.tanh(x),
    }[op]  # fmt: skip
    return Range(min(0.0, float(y.min())), max(0.0, float(y.max())))


@pytest.mark.parametrize("op", ["HARD_SWISH", "RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH"])
def test_every_input_of_an_activation_gives_the_same_integer(op):
    for span in ranges(120):
        builder = Builder()
        x = builder.input((1, 256, 1, 1))
        y = builder.unary(op, x, {"alpha": 0.1} if op == "LEAKY_RELU" else None)
        graph = quantize(builder.finish([x], [y]), {x.name: span, y.name: image(op, span)})
        assert compare(serialise(graph, description=op), EVERY_INTEGER).equal, span


def test_a_sigmoid_whose_result_lies_between_two_integers_is_rounded_differently():
    # Found among 3,000 random scales; a scale that is 0.1% coarser has no such value.
    doubtful = Quantization((0.021993568167090416,), (80,))
    unit = Quantization((1 / 256,), (-128,))
    assert differing("LOGISTIC", doubtful, unit) == 1
    assert not rounds_clearly("LOGISTIC", doubtful)


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize("reach", [100, 300, 510, 700, 1100, 1500, 2000, 1e4, 1e6])
def test_a_range_beyond_fixed_point_is_cut_where_nothing_else_reads_it(op, reach):
    builder = Builder()
    x = builder.input((1, 256, 1, 1))
    middle = builder.conv(x, np.ones((256, 1, 1, 1), np.float32), None, groups=256)
    graph = builder.finish([x], [builder.unary(op, middle)])
    span = Range(-reach / 2, reach / 2)
    quantised = quantize(graph, {x.name: span, middle.name: span, graph.outputs[0]: Range(-1, 1)})
    assert compare(serialise(quantised, description=op), EVERY_INTEGER).equal
    if reach > 255:
        assert quantised.quantization(middle.name).scale[0] < 0.13


@pytest.mark.parametrize("reach", [510, 700, 1100, 1500, 2000, 1e4])
def test_a_range_beyond_fixed_point_is_refused_where_it_has_to_be_kept(reach):
    builder = Builder()
    x = builder.input((1, 256, 1, 1))
    middle = builder.conv(x, np.ones((256, 1, 1, 1), np.float32), None, groups=256)
    graph = builder.finish([x], [builder.elementwise("MUL", middle, builder.unary("LOGISTIC", middle))])
    span, names = Range(-reach / 2, reach / 2), [op.outputs[0] for op in graph.operators]
    ranges = {x.name: span, middle.name: span, names[1]: Range(0, 1), names[2]: Range(-0.3, reach / 2)}
    if reach > 2040:
        with pytest.raises(ExportError, match=r"a sigmoid of values from -5e\+03 to 5e\+03 that something else reads"):
            quantize(graph, ranges)
    else:
        assert compare(serialise(quantize(graph, ranges), description=""), EVERY_INTEGER).equal


def test_tflm_takes_the_zero_of_a_coarse_sigmoid_for_saturated():
    coarse, unit = Quantization((9.0,), (3,)), Quantization((1 / 256,), (-128,))
    assert differing("LOGISTIC", coarse, unit) == 1
    assert not rounds_clearly("LOGISTIC", coarse)


def test_a_tanh_of_a_power_of_two_is_rounded_differently():
    # tanh(1 / 256) is half a step, but for a cubic term of a millionth.
    doubtful, unit = Quantization((1 / 256,), (0,)), Quantization((1 / 128,), (0,))
    assert differing("TANH", doubtful, unit) == 1
    assert not rounds_clearly("TANH", doubtful)
    builder = Builder()
    x = builder.input((1, 256, 1, 1))
    graph = builder.finish([x], [builder.unary("TANH", x)])
    quantised = quantize(graph, {x.name: Range(-0.5, 127 / 256), graph.outputs[0]: Range(-0.47, 0.47)})
    assert compare(serialise(quantised, description=""), EVERY_INTEGER).equal


def test_a_relu_alone_needs_an_exact_quotient():
    # Found among 600 random pairs of scales.
    source, output = Quantization((0.00030659011,), (-84,)), Quantization((0.000254097016,), (-128,))
    assert differing("RELU", source, output) == 1
    assert not is_exact("RELU", source.scale[0], source.scale[0], output.scale[0])


def test_a_leaky_relu_is_rounded_differently_half_way_between_two_integers():
    # 25 steps of the input are 67.5 of the output; its scales are such as exact products ask for.
    source, output = Quantization((81 / 2**16,), (38,)), Quantization((30 / 2**16,), (-124,))
    assert differing("LEAKY_RELU", source, output, {"alpha": 0.01}) == 1
    assert not rounds_alike("LEAKY_RELU", source.scale[0], source.scale[0], output.scale[0], 0.01)
    rng = np.random.default_rng(3)
    for _ in range(40):
        scales = {name: float(rng.choice([25, 27, 30, 75, 81])) * 2.0 ** int(rng.integers(-16, -10)) for name in "xy"}
        alpha = float(rng.choice([0.01, 0.1, 0.25]))
        found = exact_scales([Constraint("LEAKY_RELU", "x", "x", "y", alpha)], scales, {})
        x, y = (Quantization((found[name],), (int(rng.integers(-128, 128)),)) for name in "xy")
        assert differing("LEAKY_RELU", x, y, {"alpha": alpha}) == 0


def differing_pairs(op, first, second, output, points=(-20, 7, -90)):
    """Of all pairs of int8's values, how many rows of them come out differently; a divisor is positive."""
    rows, columns = np.meshgrid(np.arange(-128, 128), np.arange(-127, 128), indexing="ij")
    shape = rows.shape
    tensors = {
        name: Tensor(name, (1, shape[1]), "int8", None, Quantization((scale,), (point,)))
        for name, scale, point in zip("aby", (first, second, output), points, strict=True)
    }
    graph = Graph(
        tensors, (Operator(op, ("a", "b"), ("y",), {"fused_activation_function": "NONE"}),), ("a", "b"), ("y",)
    )
    return compare(serialise(graph, description=op), rows.astype(np.int8), columns.astype(np.int8)).differing


@pytest.mark.parametrize("op", ["MUL", "DIV"])
def test_all_pairs_of_integers_round_alike_where_that_was_promised(op):
    rng = np.random.default_rng(5)
    doubtful = 0
    for _ in range(60):
        first, second = 1 / 128, (1 / 256 if op == "MUL" else 3 / 256)
        output = float(np.float32(rng.uniform(0.002, 0.02)))
        if rounds_alike(op, first, second, output):
            points = (-20, -128 if op == "DIV" else 7, -90)
            assert differing_pairs(op, first, second, output, points) == 0, output
        else:
            doubtful += 1
    assert 0 < doubtful < 60


def test_a_quotient_half_way_between_two_integers_is_rounded_differently():
    # 1 / 170 of the first is one and a half steps of the output.
    scales = 0.002866879105567932, 0.00784313678741455, 0.0014334396691992879
    assert differing_pairs("DIV", *scales, points=(-128, -128, -128)) > 0
    assert not rounds_alike("DIV", *scales)


def test_a_product_is_rounded_twice():
    # 2 ** -8 below the middle of two integers, which the first rounding brings to the middle.
    scales = 0.004191369749605656, 0.0020053675398230553, 0.0020188703201711178
    assert differing_pairs("MUL", *scales, points=(0, -128, 0)) > 0
    assert not rounds_alike("MUL", *scales)


def matrix_product(first, second, output):
    """Inputs on which the product of two random matrices under these scales differs, of 40."""
    tensors = {
        "a": Tensor("a", (1, 64, 8), "int8", None, first), "b": Tensor("b", (1, 64, 8), "int8", None, second),
        "y": Tensor("y", (1, 64, 64), "int8", None, output),
    }  # fmt: skip
    op = Operator("BATCH_MATMUL", ("a", "b"), ("y",), {"adj_x": False, "adj_y": True})
    content = serialise(Graph(tensors, (op,), ("a", "b"), ("y",)), description="")
    rng = np.random.default_rng(2)
    return compare(content, *(rng.integers(-128, 128, (40, 64, 8)).astype(np.int8) for _ in range(2))).differing


def test_products_of_matrices_need_an_exact_multiplier():
    # Scales of a layer whose scores came out differently.
    a, b, y = 0.008555850945413113, 0.021574093028903008, 0.01841450296342373
    assert matrix_product(Quantization((a,), (-8,)), Quantization((b,), (-126,)), Quantization((y,), (-34,))) > 0
    found = exact_scales([Constraint("BATCH_MATMUL", "a", "b", "y")], {"a": a, "b": b, "y": y}, {})
    assert is_exact("BATCH_MATMUL", found["a"], found["b"], found["y"])
    points = {"a": -8, "b": -126, "y": -34}
    assert matrix_product(*(Quantization((found[name],), (point,)) for name, point in points.items())) == 0


def test_a_hard_swish_of_negative_values_only_is_not_refused():
    builder = Builder()
    x = builder.input((1, 256, 1, 1))
    graph = builder.finish([x], [builder.unary("HARD_SWISH", x)])
    quantised = quantize(graph, {x.name: Range(-60.0, 0.0), graph.outputs[0]: Range(-0.375, 0.0)})
    assert compare(serialise(quantised, description=""), EVERY_INTEGER).equal
    source, output = (quantised.tensors[name].quantization for name in (x.name, graph.outputs[0]))
    from firmware_sim.errors import ModelError

    with pytest.raises(ModelError, match="output_multiplier_exponent"):
        differing("HARD_SWISH", source, Quantization((source.scale[0] / 160,), output.zero_point))
