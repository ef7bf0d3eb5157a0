"""The greedy planner, what bounds it, and the verifier."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim import planners
from firmware_sim.errors import InternalError, UsageError
from firmware_sim.planners import BufferRequest, peak_bytes
from firmware_sim.planners.bounds import lower_bound_bytes
from firmware_sim.planners.verify import Violation, violations

R = BufferRequest
greedy = planners.get("greedy")


@st.composite
def request_lists(draw: st.DrawFn) -> list[BufferRequest]:
    def request() -> BufferRequest:
        first = draw(st.integers(-1, 20))
        return R(16 * draw(st.integers(0, 12)), first, first + draw(st.integers(0, 8)))

    return [request() for _ in range(draw(st.integers(0, 25)))]


def overlapping(requests: list[BufferRequest], offsets: tuple[int, ...]) -> set[tuple[int, int]]:
    """Pairs that share bytes and time, by comparing all of them."""
    return {
        (i, j)
        for i, j in combinations(range(len(requests)), 2)
        if requests[i].overlaps(requests[j])
        and max(offsets[i], offsets[j]) < min(offsets[i] + requests[i].size_bytes, offsets[j] + requests[j].size_bytes)
    }


@given(request_lists())
def test_greedy_plan_is_valid_and_not_below_the_bound(requests: list[BufferRequest]):
    offsets = greedy(requests)
    assert overlapping(requests, offsets) == set()
    assert violations(requests, offsets, capacity_bytes=peak_bytes(requests, offsets)) == ()
    assert lower_bound_bytes(requests) <= peak_bytes(requests, offsets)


@given(request_lists())
def test_lower_bound_is_the_largest_sum(requests: list[BufferRequest]):
    sums = [sum(r.size_bytes for r in requests if r.first <= time <= r.last) for time in range(-1, 30)]
    assert lower_bound_bytes(requests) == max(sums)


@given(request_lists(), st.data())
def test_verifier_agrees_with_comparing_all_pairs(requests: list[BufferRequest], data: st.DataObject):
    offsets = tuple(16 * data.draw(st.integers(0, 40)) for _ in requests)
    bad = overlapping(requests, offsets)
    found = violations(requests, offsets)
    assert bool(found) == bool(bad)
    assert {violation.buffers for violation in found} <= bad


@given(
    request_lists().filter(
        lambda r: any(a.overlaps(b) and min(a.size_bytes, b.size_bytes) for a, b in combinations(r, 2))
    ),
    st.data(),
)
@settings(max_examples=50)
def test_verifier_catches_a_corrupted_plan(requests: list[BufferRequest], data: st.DataObject):
    offsets = [*greedy(requests)]
    pairs = [
        (i, j)
        for i, j in combinations(range(len(requests)), 2)
        if requests[i].overlaps(requests[j]) and min(requests[i].size_bytes, requests[j].size_bytes)
    ]
    i, j = data.draw(st.sampled_from(pairs))
    offsets[j] = offsets[i]
    assert "overlap" in {violation.kind for violation in violations(requests, offsets)}


def test_ties_place_the_later_request_first():
    # TFLM lists requests in reverse before its stable sort, so that of equal sizes the last one gets offset 0.
    assert greedy([R(16, 0, 1), R(16, 1, 2), R(16, 2, 3)]) == (0, 16, 0)


def test_first_fit_takes_the_gap_in_front():
    # 64 at 0 and 48 above it; the 32 that no longer overlaps the 64 goes below the 48.
    assert greedy([R(64, 0, 1), R(48, 1, 2), R(32, 2, 3)]) == (0, 64, 0)


def test_offline_places_come_first_and_are_taken_as_given():
    requests = [R(64, 0, 3), R(16, 0, 3, offset=32), R(16, 1, 2, offset=40)]
    offsets = greedy(requests)
    assert offsets == (56, 32, 40)
    assert violations(requests, offsets) == (Violation("overlap", (1, 2)),)


def test_verifier_names_every_kind():
    requests = [R(16, 0, 1), R(16, 5, 4), R(16, 9, 9, offset=0)]
    kinds = {violation.kind for violation in violations(requests, [-16, 48, 64], capacity_bytes=64)}
    assert kinds == {"negative", "interval", "moved", "outside"}
    assert violations(requests, [0]) == (Violation("count", ()),)


def test_no_buffers():
    assert greedy([]) == ()
    assert lower_bound_bytes([]) == 0
    assert peak_bytes([], ()) == 0


def test_registry():
    assert "greedy" in planners.names()
    with pytest.raises(UsageError, match="greedy"):
        planners.get("clairvoyant")
    with pytest.raises(InternalError, match="two planners"):
        planners.register("greedy")(greedy)
