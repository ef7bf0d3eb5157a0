"""Files of bands in one form, and what is asked of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from support.random_bands import outputs

from firmware_sim import memreport, read
from firmware_sim.lifetimes import lifetimes
from firmware_sim.memory.offline import RECORD, OfflinePlan, offline_plan
from firmware_sim.memory.tail import tail
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import plan, profiles_of
from firmware_sim.overlap.replay import replay
from firmware_sim.overlap.unroll import Unrolled
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import ways
from firmware_sim.rewrite.draft import Draft, finish
from firmware_sim.run.tflm import Tflm


def in_form(draft: Draft, bandings: Sequence[Banding], form: str, number: int, kernels: str) -> tuple[bytes, int]:
    """The file of one way to write bands, and the head that was planned for it."""
    model = draft.model
    tails = [tail(model, build, OfflinePlan(())) for build in profiles_of(kernels)]
    possible = list(ways(draft, bandings, form, {request.operator for one in tails for request in one.scratch}))
    way = possible[number % len(possible)]
    found = plan(way.model, kernels, time_s=0.2, choices=way.choices, seen=way.file.seen, ties=way.ties)
    indices = sorted(way.draft.graphs[0].tensors)
    offsets = {indices[number]: offset for number, offset in found.offsets[0].items()}
    record = stored.record(kernels, bands=form, storages=way.file.storages())
    assert found.solution is not None
    places = way.file.places(offsets)
    return finish(replace(way.file.draft, offsets=places, metadata={RECORD: record})), found.solution.peak_bytes


def scratch_is_apart(model: Model, profile: str) -> bool:
    """The replay, with an operator in front of each other one that writes the scratch buffers which TFLM gives it."""
    turns = Unrolled(model, offline_plan(model), stored.recorded_storages(model))
    tensors, places = list(turns.tensors), dict(turns.places)
    bases = [0, *accumulate(len(subgraph.tensors) for subgraph in model.subgraphs)]
    times = lifetimes(model).operators
    buffers = [one for one in memreport(model, profile=profile).buffers if one.kind == "scratch"]
    operators: list[Operator] = []
    for operator in turns.subgraph.operators:
        number = bisect_right(bases, operator.outputs[0]) - 1
        for buffer in buffers:
            if operator.index >= 0 and number < len(bases) - 1 and buffer.first == times[number, operator.index].first:
                places[len(tensors)] = buffer.offset
                operators.append(Operator(-1, "CUSTOM", 1, (), (len(tensors),), is_custom=True))
                tensors.append(Tensor(len(tensors), buffer.name, (buffer.bytes,), "INT8", 0))
        operators.append(operator)
    assert not buffers or len(operators) > len(turns.subgraph.operators)
    whole = replace(turns.subgraph, tensors=tuple(tensors), operators=tuple(operators))
    return replay(whole, tensors, places, "cmsis-nn-dsp", turns.storages) == ()


def assert_same(content: bytes, file: bytes, height: int) -> None:
    """TFLM computes the same from both files, in the arena that the report says, and a replay finds nothing."""
    model = read(file)
    assert stored.damages(model, "reference") == ()
    images = [np.random.default_rng(n).integers(-128, 128, (1, height, 6, 3), np.int8) for n in range(2)]
    runtime = Tflm(file)
    assert outputs(runtime, images * 2) == outputs(Tflm(content), images) * 2
    arena = memreport(model, profile="host64").arena
    assert (arena.head_bytes, arena.total_bytes) == (runtime.arena.head_bytes, runtime.arena.total_bytes)
