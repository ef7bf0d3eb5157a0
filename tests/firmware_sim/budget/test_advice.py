"""Movers and remedies: each figure is held against a network in which it has been carried out."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shared import MODELS
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import Budget, Increase, check
from firmware_sim.budget.advice import Advice, advise
from firmware_sim.report.diff import from_report


def chain(channels: list[int], names: Sequence[str] = "abcdefgh") -> bytes:
    """Activations of 8x8 pixels, one RELU after another, so 64 bytes a channel."""
    tensors = [T([1, 8, 8, count], name=name) for count, name in zip(channels, names, strict=False)]
    ops = [Op("RELU", [index], [index + 1]) for index in range(len(channels) - 1)]
    return tflite(Graph(tensors, ops, [0], [len(channels) - 1]))


def report_of(content: bytes, **options: str):
    return memreport(read(content, name="m.tflite"), **options)


def remedies(report, **limits):
    return {remedy.kind: remedy for remedy in advise(check(Budget("b", "m", **limits), report)).remedies}


def test_nothing_is_said_of_what_does_not_fail():
    report = report_of(small_network_file())
    assert advise(check(Budget("b", "m", arena_bytes=10**6), report)) == Advice()


def small_network_file() -> bytes:
    return tflite(small_network())


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 200), st.integers(1, 40))
def test_the_share_of_channels_is_what_has_to_go(channels, steps):
    """As many channels fewer as the share says, and the arena meets the limit; one fewer of those, and it does not."""
    report = report_of(chain([4, channels, channels, 4]))
    spare = 16 * steps
    limit = report.arena.minimum_bytes - spare
    remedy = remedies(report, arena_bytes=limit)["prune"]
    assert remedy.saves_bytes == spare
    percent = float(re.search(r"at least ([\d.]+) %", remedy.text)[1])
    assert 0 <= channels * percent / 100 - spare / 128 <= channels / 1000
    count = -(-spare // 128)
    fewer, too_few = (report_of(chain([4, left, left, 4])) for left in (channels - count, channels - count + 1))
    assert fewer.arena.minimum_bytes <= limit < too_few.arena.minimum_bytes


def test_all_layers_that_are_too_full_are_counted():
    report = report_of(chain([4, 100, 100, 100, 90, 4]))
    remedy = remedies(report, arena_bytes=report.arena.minimum_bytes - 64 * 20)["prune"]
    assert "layer 1 RELU" in remedy.text
    assert "2 more layers also hold over 11,520" in remedy.text


def test_inputs_of_the_model_cannot_be_pruned():
    report = report_of(chain([100, 60, 8]))
    remedy = remedies(report, arena_bytes=report.arena.minimum_bytes - 64 * 80)["prune"]
    assert "not enough: at layer 0 RELU, inputs of the model and scratch alone take 6,400 bytes" in remedy.text
    assert "5,120 are left" in remedy.text
    remedy = remedies(report, arena_bytes=report.arena.minimum_bytes - 64 * 30)["prune"]
    assert "1,920 of the 3,840 bytes of 'b', at least 50.0 %" in remedy.text


def test_what_start_up_takes_is_not_promised_to_other_remedies():
    """Many small tensors need more to start than they use: fewer channels would change nothing."""
    report = report_of(chain([1] * 40, [f"t{index}" for index in range(40)]))
    needed, used = report.arena.minimum_bytes, -(-report.arena.total_bytes // 16) * 16
    assert needed > used + 1000
    found = remedies(report, arena_bytes=needed - 16)
    assert list(found) == ["start-up"]
    assert found["start-up"].saves_bytes == needed - used
    assert set(remedies(report, arena_bytes=used - 16)) == {"start-up", "prune"}


@pytest.mark.parametrize("changes", [{"exact": False}, {"inexact": {"lower_bound_bytes": "a plan of its own"}}])
def test_nothing_is_promised_of_figures_that_are_not_exact(changes):
    report = report_of(chain([4, 100, 100, 4]))
    assert "prune" in remedies(report, arena_bytes=8000)
    arena = dataclasses.replace(report.arena, **changes)
    assert remedies(dataclasses.replace(report, arena=arena), arena_bytes=8000) == {}


def test_of_an_upper_bound_only_what_is_certain_is_promised():
    report = report_of(chain([4, 100, 100, 4]))
    bound = report.arena.minimum_bytes + 320
    arena = dataclasses.replace(report.arena, minimum_bytes=bound, inexact={"minimum_bytes": "at most"})
    bounded = dataclasses.replace(report, arena=arena)
    assert remedies(bounded, arena_bytes=bound - 16) == {}
    limit = report.arena.minimum_bytes - 160
    assert remedies(bounded, arena_bytes=limit) == remedies(report, arena_bytes=limit)


def test_a_tail_that_is_too_large_needs_fewer_operators():
    report = report_of(small_network_file())
    found = remedies(report, arena_bytes=report.arena.tail_bytes)
    assert "the tail alone takes" in found["operators"].text
    assert "prune" not in found


def test_the_file_says_which_constants_are_largest():
    report = report_of(small_network_file())
    found = remedies(report, flash_bytes=report.flash.model_bytes - 100)
    assert list(found) == ["weights"]
    assert found["weights"].saves_bytes == 100
    assert "layer 0 CONV_2D has the most, 248 bytes" in found["weights"].text
    report = report_of(small_network_file(), target="rp2040")
    assert (
        remedies(report, target="rp2040", regions={"flash": report.flash.model_bytes - 7})["weights"].saves_bytes == 7
    )


def test_a_region_is_empty_only_when_those_behind_it_are():
    """The arena fills SRAM1 of the STM32F407 (112 KiB), then SRAM2."""
    report = report_of(chain([4, 950, 950, 4]), target="stm32f407vg")
    spill = report.arena.minimum_bytes - 112 * 1024
    assert 0 < spill <= 16 * 1024
    found = remedies(report, target="stm32f407vg", regions={"sram1": 100 * 1024})
    assert found["prune"].saves_bytes == spill + 12 * 1024


def test_the_three_largest_movers_are_those_that_moved_most():
    before = from_report(report_of(chain([4, 50, 50, 50, 4])))
    report = report_of(chain([4, 50, 90, 60, 4]))
    verdict = check(Budget("b", "m", arena_increase=Increase(0)), report, before=before)
    movers = advise(verdict).movers
    assert [(mover.change.layer.name, mover.change_bytes) for mover in movers] == [
        ("d", 50 * 64), ("c", 40 * 64), ("e", 10 * 64),
    ]  # fmt: skip


def test_movers_of_a_file_are_those_whose_constants_grew():
    before = from_report(report_of(small_network_file()))
    graph = small_network()
    graph.tensors[4] = T([1, 5, 5, 8], data=bytes(200), scale=[0.1] * 8, dimension=3)
    report = report_of(tflite(graph))
    for limits in ({"flash_bytes": 1}, {"target": "rp2040", "regions": {"flash": 1}}):
        measured = report_of(tflite(graph), target="rp2040") if "target" in limits else report
        movers = advise(check(Budget("b", "m", **limits), measured, before=before)).movers
        assert [(mover.figure, mover.change.layer.op, mover.change_bytes) for mover in movers] == [
            ("weight_bytes", "DEPTHWISE_CONV_2D", 200 - 72)
        ]


@pytest.mark.oracle
@pytest.mark.skipif(not MODELS.is_dir(), reason="no folder ../shared/tflite with measured models")
def test_what_a_plan_can_save_is_what_an_optimal_one_saves():
    """An exact solver planned this model in 55,296 bytes, where TFLM's planner takes 73,728 (both measured in TFLM)."""
    report = report_of((MODELS / "mlperf-tiny" / "vww_96_int8.tflite").read_bytes(), profile="cortex-m-reference")
    remedy = remedies(report, arena_bytes=report.arena.minimum_bytes - 1000)["plan"]
    assert remedy.saves_bytes == 73_728 - 55_296
    assert "could be enough" in remedy.text
