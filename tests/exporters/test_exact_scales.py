"""Scales with which single and double precision agree on the multiplier of MUL and DIV."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.lower import Builder
from exporters.quantize import observe, quantize
from exporters.quantize.exact import Constraint, exact_scales, is_exact, rounds_alike

scales = st.floats(1e-6, 10.0).map(lambda value: float(np.float32(value)))


def test_the_case_that_rounded_differently():
    # Scales of a layer on which TFLM and LiteRT gave different integers.
    assert not is_exact("MUL", 0.010921617969870567, 0.009586304426193237, 0.02073078416287899)


@given(first=scales, second=scales, output=scales)
def test_a_product_is_exact_and_hardly_coarser(first, second, output):
    wanted = {"a": first, "b": second, "c": output}
    found = exact_scales([Constraint("MUL", "a", "b", "c")], wanted, {})
    assert is_exact("MUL", found["a"], found["b"], found["c"])
    for name, scale in found.items():
        assert wanted[name] <= scale < 1.35 * wanted[name]


@given(first=scales, second=scales, weighted=scales, output=scales)
def test_window_norm_solves_product_and_quotient_together(first, second, weighted, output):
    wanted = {"x": first, "w": second, "xw": weighted, "y": output}
    constraints = [Constraint("MUL", "x", "w", "xw"), Constraint("DIV", "xw", "w", "y")]
    found = exact_scales(constraints, wanted, {})
    assert is_exact("MUL", found["x"], found["w"], found["xw"])
    assert is_exact("DIV", found["xw"], found["w"], found["y"])
    assert all(wanted[name] <= scale <= 2 * wanted[name] for name, scale in found.items())


@given(first=scales, ratio=st.floats(0.1, 10.0), slope=st.sampled_from([0.01, 0.1, 0.2, 0.25, 1.5]))
def test_a_leaky_relu_alone_is_hardly_coarser(first, ratio, slope):
    wanted = {"a": first, "b": float(np.float32(first * ratio))}
    found = exact_scales([Constraint("LEAKY_RELU", "a", "a", "b", slope)], wanted, {})
    assert rounds_alike("LEAKY_RELU", found["a"], found["a"], found["b"], slope)
    assert all(wanted[name] <= scale <= 1.02 * wanted[name] for name, scale in found.items())


@pytest.mark.parametrize("op", ["MUL", "DIV"])
@given(output=st.floats(1e-3, 0.05).map(lambda value: float(np.float32(value))))
def test_what_cannot_be_exact_rounds_alike(op, output):
    found = exact_scales([Constraint(op, "a", "b", "c")], {"c": output}, {"a": 1 / 128, "b": 3 / 256})
    assert rounds_alike(op, 1 / 128, 3 / 256, found["c"])
    assert output <= found["c"] < 1.6 * output


def test_fixed_scales_stay():
    found = exact_scales([Constraint("MUL", "a", "gate", "c")], {"a": 0.0123, "c": 0.0077}, {"gate": 1 / 256})
    assert set(found) == {"a", "c"}
    assert is_exact("MUL", found["a"], 1 / 256, found["c"])


def test_an_operator_without_a_solution_is_left_alone():
    odd = float(np.float32(math.pi))
    fixed = {"a": odd, "b": odd, "c": float(np.float32(1.1))}
    assert exact_scales([Constraint("BATCH_MATMUL", "a", "b", "c")], {}, fixed) == {}


@pytest.mark.parametrize("constant", [False, True])
def test_quantised_graphs_have_exact_multipliers(constant):
    rng = np.random.default_rng(0)
    builder = Builder()
    x = builder.input((1, 4, 6, 6))
    other = rng.normal(size=(1, 1, 1, 4)).astype(np.float32) if constant else builder.unary("LOGISTIC", x)
    graph = builder.finish([x], [builder.elementwise("MUL", x, other)])
    quantised = quantize(graph, observe(graph, [rng.normal(size=(8, 6, 6, 4)).astype(np.float32)]))
    (op,) = [op for op in quantised.operators if op.op == "MUL"]
    names = (*op.inputs, op.outputs[0])
    assert is_exact("MUL", *(quantised.tensors[name].quantization.scale[0] for name in names))
