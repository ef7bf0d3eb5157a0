"""The search, against pricing every combination."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

import contextlib
import itertools

from sapool.compress.budget import Budget, needed_bytes
from sapool.compress.front import Candidate, front
from sapool.compress.search import search, spread
from sapool.compress.space import Space
from sapool.errors import BudgetExceeded, SapoolError, UsageError
from sapool.pricing import bounds, price, report
from sapool.spec import ModelSpec, parse

SPACE = Space(
    "mobilenet_v1", (0.1, 0.2, 0.35), (32, 64), ("max", "strided", "self_attentive"), ("before", "end"), (1, 2),
    ("12221", "22121", "12112", "22222"),
)  # fmt: skip
BUDGET = Budget(60_000, 200_000, 3_000_000)


def priced(space):
    """Every network of a space, in its order, with its price."""
    for family in space.families():
        for spec in family:
            if spec is not None:
                with contextlib.suppress(SapoolError):
                    yield Candidate(spec, price(spec))


@pytest.fixture(scope="module")
def everything():
    return list(priced(SPACE))


def figures(candidates):
    return {(c.arena_bytes, c.price.macs, c.price.parameters) for c in candidates}


def test_the_front_is_that_of_pricing_every_combination(everything):
    result = search(SPACE, BUDGET)
    fitting = [candidate for candidate in everything if BUDGET.allows(candidate.price)]
    assert figures(result.front) == figures(front(fitting))
    assert len(result.front) == len(figures(result.front))
    counts = result.counts
    assert counts.combinations == len(SPACE) == 3 * 2 * 3 * 2 * 2 * 4
    assert counts.combinations == counts.impossible + counts.over_budget + counts.beaten + counts.priced
    assert counts.impossible + len(everything) == counts.combinations
    assert 0 < counts.priced < len(everything)
    for candidate in result.front:
        assert parse(str(candidate.spec)) == candidate.spec
        assert candidate.price == price(candidate.spec)


def test_bounds_grow_with_the_width():
    # What the search relies on when it gives up the wider networks of a family.
    for family in SPACE.families():
        least = [bounds(spec) for spec in family if spec is not None]
        for narrow, wide in itertools.pairwise(least):
            assert narrow.arena_bytes <= wide.arena_bytes
            assert narrow.model_bytes <= wide.model_bytes
            assert narrow.macs <= wide.macs


@pytest.mark.parametrize("limit", ["arena_bytes", "flash_bytes", "macs"])
def test_a_budget_that_cannot_be_met_names_the_smallest_network_and_its_layer(everything, limit):
    measure = {"arena_bytes": lambda c: c.arena_bytes, "flash_bytes": lambda c: c.price.model_bytes,
               "macs": lambda c: c.price.macs}[limit]  # fmt: skip
    smallest = min(map(measure, everything))
    with pytest.raises(BudgetExceeded, match=f"{smallest:,}") as caught:
        search(SPACE, Budget(**{limit: smallest - 1}))
    named = parse(caught.value.message.rpartition(": ")[2])
    assert measure(Candidate(named, price(named))) == smallest
    peak = next(layer for layer in report(named).layers if layer.peak)
    assert peak.name in caught.value.hint
    assert search(SPACE, Budget(**{limit: smallest})).front


def test_the_arena_of_a_budget_is_what_initialisation_needs():
    cost = price(parse("mobilenet_v1-strided-12222:width=0.05"))
    assert needed_bytes(cost) == max(cost.arena.total_bytes, cost.arena.minimum_bytes)
    assert Budget(needed_bytes(cost)).allows(cost)
    assert Budget(needed_bytes(cost) - 1).exceeded(cost) == ("arena",)


def test_a_space_without_any_network_says_why():
    space = Space("mobilenet_v1", resolutions=(4,), strides=("22222",), prepools=(2,))
    with pytest.raises(UsageError, match="none of 12 combinations makes sense"):
        search(space, Budget(1000))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Budget(), "there is no budget"),
        (lambda: Budget(0), "holds nothing"),
        (lambda: Space("mobilenet_v3"), "no backbone is called 'mobilenet_v3'"),
        (lambda: Space(methods=("maxx",)), "no pooling method is called 'maxx'"),
        (lambda: Space(widths=()), "the search has no widths"),
        (lambda: Space(placements=("behind",)), "no placement is called 'behind'"),
    ],
)
def test_bad_questions_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_plans_shrink_the_map_about_as_much_as_the_backbone_does():
    space = Space("mobilenet_v2", prepools=(1,))
    assert "1222121" in space.plans
    assert {2 * math.prod(map(int, plan)) for plan in space.plans} == {16, 32, 64}
    everywhere = Space("mobilenet_v2", (0.1, 0.2, 0.3, 0.35, 0.5), (64, 80, 96, 112, 128, 160))
    assert len(everywhere) > 100_000


def test_a_few_are_taken_from_the_whole_front():
    candidates = tuple(Candidate(ModelSpec(classes=n), None) for n in range(1, 12))
    assert [c.spec.classes for c in spread(candidates, 3)] == [1, 6, 11]
    assert tuple(spread(candidates, 20)) == candidates
    assert [c.spec.classes for c in spread(candidates, 1)] == [1]
