"""Every model that TFLM was measured on, under every build, to the byte."""

from __future__ import annotations

from typing import Any

import pytest
from oracles.shared import MODELS, truth

from firmware_sim import memreport, profiles, read
from firmware_sim.errors import ModelError
from firmware_sim.planners import BufferRequest
from firmware_sim.planners.verify import violations

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not MODELS.is_dir(), reason="no folder ../shared/tflite with measured models"),
]

ENTRIES = truth()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_arena_is_exact(entry: dict[str, Any]):
    model = read(MODELS / entry["file"])
    assert model.sha256 == entry["sha256"]
    found, measured = {}, {}
    for profile in profiles.names():
        figures = entry.get(profile)
        if figures is None:
            continue
        arena = memreport(model, profile=profile).arena
        assert arena.exact
        assert sum(part.bytes for part in arena.tail) == arena.tail_bytes
        measured[profile] = {key: figures[key] for key in figures if key != "recording_total"}
        found[profile] = {"total": arena.total_bytes, "head": arena.head_bytes, "tail": arena.tail_bytes}
        if "minimum" in figures:
            found[profile]["minimum"] = arena.minimum_bytes
    assert found == measured


@pytest.mark.parametrize("entry", [e for e in ENTRIES if not e["runs"]], ids=lambda entry: entry["file"])
def test_what_tflm_refuses_is_refused(entry: dict[str, Any]):
    model = read(MODELS / entry["file"])
    for profile in profiles.names():
        with pytest.raises(ModelError, match="hybrid"):
            memreport(model, profile=profile)


@pytest.mark.parametrize("entry", [e for e in ENTRIES[::5] if e["runs"]], ids=lambda entry: entry["file"])
def test_plan_is_valid(entry: dict[str, Any]):
    report = memreport(read(MODELS / entry["file"]), profile="cortex-m-cmsis-nn-mve")
    requests = [BufferRequest(b.bytes, b.first, b.last) for b in report.buffers]
    offsets = [b.offset for b in report.buffers]
    assert violations(requests, offsets, capacity_bytes=report.arena.head_bytes) == ()
    assert report.arena.lower_bound_bytes <= report.arena.head_bytes


def test_measurements_are_there():
    """The parametrised tests above are not empty."""
    assert len(ENTRIES) > 150
    assert sum(entry["runs"] for entry in ENTRIES) > 150
