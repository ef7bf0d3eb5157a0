"""Budgets at the smallest arena in which TFLM was measured to start: that one passes, one byte less fails."""

from __future__ import annotations

import pytest
from oracles.shared import MODELS, truth

from firmware_sim import memreport, read
from firmware_sim.budget import Budget, Status, check

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not MODELS.is_dir(), reason="no folder ../shared/tflite with measured models"),
]

ENTRIES = [
    (entry["file"], profile, figures["minimum"])
    for entry in truth()
    for profile, figures in entry.items()
    if isinstance(figures, dict) and "minimum" in figures
]


@pytest.mark.parametrize(("file", "profile", "minimum_bytes"), ENTRIES[::7])
def test_the_limit_is_where_tflm_stops_to_start(file, profile, minimum_bytes):
    report = memreport(read(MODELS / file), profile=profile)
    for arena_bytes, status in ((minimum_bytes, Status.PASS), (minimum_bytes - 1, Status.FAIL)):
        verdict = check(Budget("b", file, target=profile, arena_bytes=arena_bytes), report)
        assert verdict.status is status, verdict.limits


def test_measurements_are_there():
    assert len(ENTRIES) > 300
