"""What preflight predicts against what TFLM did: measured models, and models broken on purpose in the wheel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from oracles.forked_tflm import ask
from oracles.shared import MODELS, truth
from support.tflite_files import tflite

from firmware_sim import profiles, read
from firmware_sim.preflight import Refusal, refusals

pytest.importorskip("tflite_micro")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="models that end the process need one of their own"),
]

# They need the wheel.
from oracles.refused_models import (  # noqa: E402
    ENDS_THE_PROCESS,
    REFUSED_AT_ALLOCATION,
    REFUSED_AT_INVOKE,
    TAKEN,
    retyped,
)
from oracles.test_arena_operators import CASES, one, plain  # noqa: E402

HOST = profiles.get("host64")


def predicted(data: bytes) -> tuple[Refusal, ...]:
    """The refusals that count as certain."""
    return tuple(refusal for refusal in refusals(read(data), HOST) if refusal.certain)


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple[str, str]]:
    cases = {**REFUSED_AT_ALLOCATION, **REFUSED_AT_INVOKE, **ENDS_THE_PROCESS, **TAKEN}
    return dict(zip(cases, ask([tflite(*graphs) for graphs in cases.values()]), strict=True))


@pytest.mark.parametrize("name", REFUSED_AT_ALLOCATION)
def test_refused_by_allocate_tensors(name: str, answers: dict[str, tuple[str, str]]):
    stage, words = answers[name]
    assert stage == "allocate", words
    found = predicted(tflite(*REFUSED_AT_ALLOCATION[name]))
    assert "allocate" in {refusal.stage for refusal in found}
    check_source(words, found)


@pytest.mark.parametrize("name", REFUSED_AT_INVOKE)
def test_refused_by_invoke(name: str, answers: dict[str, tuple[str, str]]):
    stage, words = answers[name]
    assert stage == "invoke", words
    found = predicted(tflite(*REFUSED_AT_INVOKE[name]))
    assert {refusal.stage for refusal in found} == {"invoke"}
    check_source(words, found)


@pytest.mark.parametrize("name", ENDS_THE_PROCESS)
def test_what_ends_the_process(name: str, answers: dict[str, tuple[str, str]]):
    assert answers[name][0] == "ended"
    assert predicted(tflite(*ENDS_THE_PROCESS[name]))


@pytest.mark.parametrize("name", TAKEN)
def test_what_tflm_takes(name: str, answers: dict[str, tuple[str, str]]):
    assert answers[name] == ("taken", "")
    assert refusals(read(tflite(*TAKEN[name])), HOST) == ()


def check_source(words: str, found: Iterable[Refusal]) -> None:
    """TFLM's words name the file that a refusal names, if they name one."""
    file = re.search(r"tensorflow/lite/micro/(\S+\.cc)", words)
    assert file is None or file[1] in {refusal.source for refusal in found}


def mutants() -> Iterator[tuple[str, bytes]]:
    """Every case of the arena tests with an operand more or less, or one or all operands of another type."""
    for name, graphs in CASES.items():
        graph = graphs[0]
        if len(graphs) > 1 or len(graph.operators) > 1 or name.startswith(("Signal", "TFL", "CUSTOM")):
            continue
        operator = graph.operators[0]
        used = [*operator.inputs, *operator.outputs]
        data = {i for i in used if graph.tensors[i].type == graph.tensors[operator.outputs[0]].type}
        for group in [data, *({index} for index in used)]:
            for type in ("FLOAT32", "INT8", "INT16", "INT32"):
                tensors = [retyped(t, type) if i in group else t for i, t in enumerate(graph.tensors)]
                yield f"{name}: {sorted(group)} {type}", tflite(replace(graph, tensors=tensors))
        for inputs in (operator.inputs[:-1], [*operator.inputs, operator.inputs[-1]]):
            changed = replace(operator, inputs=inputs)
            yield f"{name}: {len(inputs)} inputs", tflite(replace(graph, operators=[changed]))


def test_no_certain_refusal_is_contradicted():
    """Whatever is predicted for certain, the wheel refuses; and nearly all that it refuses is predicted."""
    cases = dict(mutants())
    certain = {name for name, data in cases.items() if predicted(data)}
    assert len(certain) > 600
    asked = ask(list(cases.values()))
    taken = {name for name, (stage, _) in zip(cases, asked, strict=True) if stage == "taken"}
    assert certain & taken == set()
    missed = len(cases) - len(taken) - len(certain)
    assert missed < 0.06 * len(cases)


@pytest.mark.parametrize("op", ["GELU", "TILE", "POW", "LSTM", "REDUCE_PROD", "MyOwn"])
def test_operators_that_the_wheel_lacks(op: str):
    data = tflite(*one(op, [plain([4])], [plain([4])]))
    assert ask([data])[0][0] == "allocate"
    (found,) = refusals(read(data), HOST)
    assert (found.certain, found.op) == (False, op)


@pytest.mark.skipif(not MODELS.is_dir(), reason="no folder ../shared/tflite with measured models")
@pytest.mark.parametrize("entry", truth(), ids=lambda entry: entry["file"])
def test_measured_models(entry: dict[str, Any]):
    model = read(MODELS / entry["file"])
    for profile in profiles.names():
        found = refusals(model, profiles.get(profile))
        if entry["runs"]:
            assert found == ()
        else:
            assert found
            assert all(refusal.certain for refusal in found)
            assert found[0].source in entry["refused"].get(profile, found[0].source) or "Input type" in entry["error"]
