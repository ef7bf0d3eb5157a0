"""What becomes of a refusal: its words, how sure it is, and what reports and budgets make of it."""

from __future__ import annotations

import dataclasses
import time

import pytest
from support.tflite_files import Graph, Op, T, convolution_options, small_network, tflite

from firmware_sim import memreport, profiles, read
from firmware_sim.budget import Budget, Unreadable, evaluate
from firmware_sim.errors import ModelError
from firmware_sim.preflight import refusals

HOST = profiles.get("host64")
CMSIS = profiles.get("cortex-m-cmsis-nn")


def floats(shape: list[int], **more: object) -> T:
    return T(shape, "FLOAT32", scale=(), **more)


def hybrid() -> bytes:
    """Two convolutions with int8 weights over float data, then a joint of eleven inputs."""
    weights = T([3, 1, 1, 3], data=bytes(9), name="weights")
    graph = Graph(
        [
            floats([1, 4, 4, 3], name="image"),
            weights,
            floats([1, 4, 4, 3]),
            floats([1, 4, 4, 3]),
            floats([1, 4, 4, 33]),
        ],
        [
            Op("CONV_2D", [0, 1], [2], convolution_options()),
            Op("CONV_2D", [2, 1], [3], convolution_options()),
            Op("CONCATENATION", [3] * 11, [4], ("ConcatenationOptions", {"axis": 3})),
        ],
        [0],
        [4],
    )
    return tflite(graph)


def int16_sum(zero_point: int) -> Graph:
    x = T([4], "INT16", zero_point=[zero_point], name="x")
    return Graph([x, x, x], [Op("ADD", [0, 1], [2], ("AddOptions", {}))], [0, 1], [2])


def square_root(type: str) -> Graph:
    return Graph([T([4], type), T([4], type)], [Op("SQRT", [0], [1])], [0], [1])


@pytest.mark.parametrize("profile", profiles.names())
def test_nothing_is_said_against_a_sound_network(profile: str):
    model = read(tflite(small_network()))
    assert refusals(model, profiles.get(profile)) == ()


def test_all_faults_are_found_in_order():
    found = refusals(read(hybrid()), HOST)
    assert [(refusal.operator, refusal.op, refusal.tensor) for refusal in found] == [
        (0, "CONV_2D", "weights"),
        (1, "CONV_2D", "weights"),
        (2, "CONCATENATION", None),
    ]
    assert {refusal.stage for refusal in found} == {"allocate"}
    assert found[0].source == "kernels/conv_common.cc"
    assert str(found[2]) == "operator 2 (CONCATENATION): 11 inputs; TFLM takes 10 [kernels/concatenation.cc]"


@pytest.mark.parametrize("profile", profiles.names())
def test_a_hybrid_model_is_certain_everywhere(profile: str):
    found = refusals(read(hybrid()), profiles.get(profile))
    assert all(refusal.certain for refusal in found)
    is_cmsis = profiles.get(profile).kernels == "cmsis-nn"
    assert found[0].source == ("kernels/cmsis_nn/conv.cc" if is_cmsis else "kernels/conv_common.cc")


def test_the_report_lists_every_reason_and_each_hint_once():
    with pytest.raises(ModelError) as caught:
        memreport(read(hybrid(), name="net.tflite"))
    error = caught.value
    assert (error.where, error.exit_code) == ("net.tflite", 3)
    lines = error.message.splitlines()
    assert lines[0] == "TensorFlow Lite Micro refuses the model: 3 reasons"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "operator 0 (CONV_2D), tensor 'weights'",
        "operator 1 (CONV_2D), tensor 'weights'",
        "operator 2 (CONCATENATION)",
    ]
    assert error.hint is not None
    assert len(error.hint.splitlines()) == 2


def half_precision(count: int) -> bytes:
    """As many DEQUANTIZE of float16 weights, as float16 quantisation leaves them."""
    weights = [T([4], "FLOAT16", data=bytes(8), name=f"weights_{number}", scale=()) for number in range(count)]
    widened = [floats([4]) for _ in range(count)]
    operators = [Op("DEQUANTIZE", [number], [count + number]) for number in range(count)]
    return tflite(Graph(weights + widened, operators, [], [2 * count - 1]))


@pytest.mark.parametrize(("count", "lines"), [(2, 3), (3, 4), (4, 3), (500, 3)])
def test_many_operators_refused_alike_are_numbered(count: int, lines: int):
    with pytest.raises(ModelError, match=f"{count} reasons") as caught:
        memreport(read(half_precision(count)))
    message = caught.value.message
    assert len(message.splitlines()) == lines
    assert "operator 0 (DEQUANTIZE), tensor 'weights_0': FLOAT16" in message
    if lines == 3 < count:
        assert message.endswith(", ".join(str(number) for number in range(1, count)))
    assert caught.value.hint is not None
    assert "int" in caught.value.hint


def test_budgets_use_the_same_words(tmp_path):
    path = tmp_path / "net.tflite"
    path.write_bytes(hybrid())
    with pytest.raises(ModelError) as caught:
        memreport(read(path))
    outcome = evaluate([Budget("net", "net.tflite", tmp_path, arena_bytes=10**6)])
    assert outcome.exit_code == 3
    (result,) = outcome.results
    assert isinstance(result, Unreadable)
    assert str(result.error) == str(caught.value)


def test_the_command_ends_with_3(tmp_path, capsys):
    from sapool.cli.main import main

    path = tmp_path / "net.tflite"
    path.write_bytes(hybrid())
    assert main(["memreport", str(path)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("hybrid models are not supported") == 2


def test_kernels_that_were_only_read_make_the_figures_inexact():
    model = read(tflite(int16_sum(zero_point=1)))
    assert refusals(model, HOST) == ()
    assert memreport(model).arena.exact
    found = refusals(model, CMSIS)
    assert [(refusal.tensor, refusal.certain, refusal.source) for refusal in found] == [
        ("x", False, "kernels/cmsis_nn/add.cc")
    ] * 3
    arena = memreport(model, profile=CMSIS).arena
    assert not arena.exact
    assert arena.unmodelled == tuple(f"TFLM may refuse this: {refusal}" for refusal in found)


def test_reference_kernels_of_the_cmsis_build_stay_certain():
    for profile in (HOST, CMSIS):
        (found,) = refusals(read(tflite(square_root("INT8"))), profile)
        assert (found.certain, found.stage, found.source) == (True, "invoke", "kernels/elementwise.cc")
        assert "fails when it runs" in str(found)


def test_a_subgraph_that_may_never_run_is_not_certain():
    inner = square_root("INT8")
    called = Graph([floats([4]), floats([4])], [Op("ABS", [0], [1])], [0], [1])
    found = refusals(read(tflite(called, inner)), HOST)
    assert [(refusal.subgraph, refusal.certain) for refusal in found] == [(1, False)]
    assert str(found[0]).startswith("subgraph 1, operator 0 (SQRT), tensor 't0': ")


def test_dimensions_that_tflm_reads_without_a_check_are_not_certain():
    """It then works with whatever lies in memory there."""
    pool = ("Pool2DOptions", {"stride_w": 2, "stride_h": 2, "filter_width": 2, "filter_height": 2})
    graph = Graph([T([4, 4, 2]), T([2, 2, 2])], [Op("MAX_POOL_2D", [0], [1], pool)], [0], [1])
    (found,) = refusals(read(tflite(graph)), HOST)
    assert (found.certain, found.reason) == (False, "3 dimensions; TFLM takes 4 or more")


@pytest.mark.parametrize("op", ["GELU", "MyOwnOp"])
def test_an_operator_that_the_application_may_bring(op: str):
    graph = Graph([T([4]), T([4])], [Op(op, [0], [1])], [0], [1])
    (found,) = refusals(read(tflite(graph)), HOST)
    assert not found.certain
    assert found.hint is not None


def test_custom_operators_of_tflm_are_known():
    graph = Graph([T([4]), T([4])], [Op("SignalPCAN", [0], [1], custom_options=b"")], [0], [1])
    assert refusals(read(tflite(graph)), HOST) == ()


def test_a_custom_operator_is_not_judged_by_the_builtin_of_its_name():
    model = read(tflite(square_root("INT8")))
    subgraph = model.subgraphs[0]
    custom = dataclasses.replace(subgraph.operators[0], is_custom=True)
    model = dataclasses.replace(model, subgraphs=(dataclasses.replace(subgraph, operators=(custom,)),))
    assert [refusal.certain for refusal in refusals(model, HOST)] == [False]


def test_absent_operands_are_no_fault_of_a_rule():
    """Rules look at operands that may not be there; what counts them says so."""
    from firmware_sim.schema import OPERATORS

    for op in OPERATORS:
        for inputs in ([], [-1], [-1] * 4, [0]):
            graph = Graph([T([4]), T([4])], [Op(op, inputs, [1])], [0], [1])
            refusals(read(tflite(graph)), CMSIS)


def test_it_costs_little():
    """A network of thirty layers takes 0.3 ms; the limit leaves room for a slow machine."""
    blocks = [T([1, 8, 8, 8]), T([8, 3, 3, 8], data=bytes(576), scale=[0.1] * 8)]
    operators = [Op("CONV_2D", [0, 1], [2], convolution_options())]
    for index in range(30):
        operators.append(Op("CONV_2D", [index + 2, 1], [index + 3], convolution_options()))
    graph = Graph([*blocks, *[T([1, 8, 8, 8])] * 31], operators, [0], [32])
    model = read(tflite(graph))
    assert refusals(model, HOST) == ()
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        refusals(model, HOST)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 0.005
