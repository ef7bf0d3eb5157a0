"""Planners for overlapping buffers: greedy orders, exact search, CP-SAT, bounds."""

from __future__ import annotations

from itertools import permutations, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim import planners
from firmware_sim.planners import BufferRequest, cpsat
from firmware_sim.planners.bounds import lower_bound_bytes, overlapping_bound_bytes
from firmware_sim.planners.first_fit import ORDERS, first_fit
from firmware_sim.planners.problem import Allowance, Block, Part, Problem, Segment, plain_problem, problem
from firmware_sim.planners.search import search
from firmware_sim.planners.solve import greedy, solve
from firmware_sim.planners.verify import violations


def least_peak(puzzle: Problem) -> int:
    """By trying every multiple of 16 for every block."""
    highest = sum(puzzle.sizes_bytes)
    plans = product(*(range(0, highest - size + 1, 16) for size in puzzle.sizes_bytes))
    return min(puzzle.peak_bytes(plan) for plan in plans if puzzle.is_kept(plan))


@st.composite
def request_lists(draw: st.DrawFn, most: int = 25) -> list[BufferRequest]:
    def request() -> BufferRequest:
        first = draw(st.integers(-1, 20))
        return BufferRequest(16 * draw(st.integers(1, 12)), first, first + draw(st.integers(0, 8)))

    return [request() for _ in range(draw(st.integers(0, most)))]


@st.composite
def puzzles(draw: st.DrawFn, most: int, largest: int) -> Problem:
    """Blocks in a row of operators; some outputs may overlap the input that dies there."""
    count = draw(st.integers(1, most))
    blocks = []
    for number in range(count):
        last = number + draw(st.integers(1, 2))
        blocks.append(Block.whole(16 * draw(st.integers(1, largest)), number, last))
    allowances = []
    for lower in range(1, count):
        for upper in range(lower):
            if blocks[upper].segments[0].last == lower and draw(st.booleans()):
                distance = 16 * draw(st.integers(0, blocks[lower].size_bytes // 16))
                allowances.append(Allowance(Part(upper), Part(lower), distance))
    return problem(blocks, allowances)


@given(request_lists())
def test_greedy_is_that_of_tflm(requests: list[BufferRequest]):
    puzzle = plain_problem(requests)
    assert first_fit(puzzle, ORDERS["greedy"](puzzle)) == planners.get("greedy")(requests)


@given(request_lists())
def test_without_overlaps_the_bound_is_the_plain_one(requests: list[BufferRequest]):
    assert overlapping_bound_bytes(plain_problem(requests)) == lower_bound_bytes(requests)


@given(request_lists(12))
@settings(deadline=None)
def test_a_plan_without_overlaps_satisfies_the_verifier(requests: list[BufferRequest]):
    solution = solve(plain_problem(requests), time_s=0.2, use_cpsat=False)
    assert violations(requests, solution.offsets, capacity_bytes=solution.peak_bytes) == ()
    assert lower_bound_bytes(requests) <= solution.bound_bytes <= solution.peak_bytes


@given(puzzles(most=4, largest=3))
@settings(deadline=None, max_examples=30)
def test_search_finds_the_least_peak(puzzle: Problem):
    least = least_peak(puzzle)
    solution = solve(puzzle, time_s=5, use_cpsat=False)
    assert overlapping_bound_bytes(puzzle) <= least
    assert solution.peak_bytes == solution.bound_bytes == least


@given(puzzles(most=14, largest=40))
@settings(deadline=None, max_examples=60)
def test_never_worse_than_the_best_greedy(puzzle: Problem):
    solution = solve(puzzle, time_s=0.5, use_cpsat=False)
    assert puzzle.is_kept(solution.offsets)
    assert overlapping_bound_bytes(puzzle) <= solution.bound_bytes <= solution.peak_bytes
    assert solution.peak_bytes <= min(greedy(puzzle, name).peak_bytes for name in ORDERS)


@pytest.mark.skipif(not cpsat.is_installed(), reason="needs ortools")
def test_cp_sat_agrees_with_the_search():
    random = Random(3)
    for _ in range(10):
        blocks = [Block.whole(16 * random.randint(1, 30), n, n + random.randint(1, 4)) for n in range(10)]
        puzzle = problem(blocks, [Allowance(Part(0), Part(blocks[0].segments[0].last), 16)])
        seed = greedy(puzzle, "greedy")
        ours = search(puzzle, seed.offsets, seed.bound_bytes, time_s=10)
        theirs = cpsat.cpsat(puzzle, seed.offsets, seed.bound_bytes, time_s=10)
        assert puzzle.is_kept(theirs.offsets)
        assert puzzle.peak_bytes(theirs.offsets) == theirs.bound_bytes == ours.bound_bytes


def banded(random: Random) -> Problem:
    """Two stages in bands: rows of a map die as those of the next one are born; four blocks for each band."""
    count = random.randint(4, 12)
    blocks = []
    for stage in (-1, 0, 1):
        size, start = 16 * random.randint(4, 12), 5 * count * stage
        rows = [
            Segment(size * n, size * (n + 1), max(start + 5 * n + 4, 0), start + 5 * count + 5 * n)
            for n in range(count)
        ]
        blocks.append(Block(size * count, tuple(rows)))
    allowances = []
    for time in (5 * band + step for band in range(2 * count) for step in range(4)):
        blocks.append(Block.whole(16 * random.randint(4, 40), time, time + 1))
        if time % 5 and random.random() < 0.7:
            distance = 16 * random.randint(0, blocks[-1].size_bytes // 16)
            allowances.append(Allowance(Part(len(blocks) - 2), Part(len(blocks) - 1), distance))
    return problem(blocks, allowances)


@pytest.mark.skipif(not cpsat.is_installed(), reason="needs ortools")
def test_steps_alone_find_the_best_plan_of_bands():
    random = Random(5)
    for _ in range(20):
        puzzle = banded(random)
        ours = solve(puzzle, time_s=0, use_cpsat=False)
        theirs = cpsat.cpsat(puzzle, ours.offsets, overlapping_bound_bytes(puzzle), time_s=20)
        assert puzzle.is_kept(ours.offsets)
        assert ours.peak_bytes == ours.bound_bytes == puzzle.peak_bytes(theirs.offsets)


def test_steps_do_not_depend_on_the_clock():
    puzzles = [banded(Random(seed)) for seed in range(5)]
    assert [solve(one, time_s=0).offsets for one in puzzles] == [solve(one, time_s=0).offsets for one in puzzles]


def test_no_order_of_first_fit_beats_the_search():
    # Sizes and lifetimes for which greedy leaves a hole: every order of placing them is tried.
    requests = [
        BufferRequest(16 * size, first, last)
        for size, first, last in ((4, 0, 1), (2, 1, 2), (3, 2, 3), (5, 3, 4), (1, 0, 4), (2, 4, 5))
    ]
    puzzle = plain_problem(requests)
    least = min(puzzle.peak_bytes(first_fit(puzzle, order)) for order in permutations(range(len(requests))))
    assert solve(puzzle, use_cpsat=False).peak_bytes == least == lower_bound_bytes(requests)


def test_an_input_that_dies_may_lie_a_little_above_its_output():
    # A 1x1 convolution from 16 to 32 bytes a pixel over 4 pixels: input 48 above its output, which is 64 to its end.
    puzzle = problem([Block.whole(64, 0, 1), Block.whole(128, 1, 2)], [Allowance(Part(0), Part(1), 80)])
    assert puzzle.apart == {(0, 1): 80, (1, 0): 64}
    assert solve(puzzle, use_cpsat=False).offsets == (80, 0)


def test_segments_that_are_born_where_others_die_need_no_room_of_their_own():
    # Rows of X die one by one, rows of T are born one by one in their place, a row of 16 bytes further down.
    dying = Block(64, tuple(Segment(16 * row, 16 * row + 16, 0, row) for row in range(4)))
    born = Block(64, tuple(Segment(16 * row, 16 * row + 16, row + 1, 9) for row in range(4)))
    solution = solve(problem([dying, born]), use_cpsat=False)
    assert solution.peak_bytes == solution.bound_bytes == 64


def test_no_blocks():
    assert solve(problem([])).offsets == ()
