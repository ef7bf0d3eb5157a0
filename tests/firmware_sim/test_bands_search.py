"""The search for bands: what it reckons without planning, what it prices, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.band_nets import BOTTLENECKS, Layer, network

from firmware_sim.profiles import get
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import EXPLICIT, LOOP, VIEWS
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.pricing import Pricer
from firmware_sim.rewrite.bands.propose import Choice, Proposer
from firmware_sim.rewrite.bands.search import _NONE, Goal, Search, _widest
from firmware_sim.rewrite.bands.stage import cuts
from firmware_sim.rewrite.draft import open_draft


def pricer(kernels: str = "reference", form: str = EXPLICIT) -> Pricer:
    profile = {"reference": "host64", "cmsis-nn-dsp": "cortex-m-cmsis-nn-dsp"}[kernels]
    return Pricer(open_draft(network(BOTTLENECKS, height=40, width=40)), kernels, get(profile), form)


def bandings(proposer: Proposer) -> Iterator[Banding]:
    for first, last, heights in (
        (0, 4, (4, 3, 3)),
        (0, 3, (5, 5)),
        (2, 3, (2, 3, 5)),
        (4, 9, (1, 2, 2)),
        (0, 9, (3, 2)),
    ):
        stage = proposer.cuts.stage(first, last)
        if stage is not None and sum(heights) == stage.rows:
            for trimmed in (stage.late, frozenset(stage.trimmable)):
                yield Banding(stage, heights, False, trimmed)
                yield Banding(stage, heights[::-1], True, trimmed)


@pytest.mark.parametrize("kernels", ["reference", "cmsis-nn-dsp"])
def test_what_is_reckoned_is_near_what_a_plan_needs_and_hardly_ever_above(kernels: str):
    prices = pricer(kernels)
    proposer = Proposer(prices)
    plain = prices.price(())
    assert plain is not None
    found = [(proposer.choice([one]), prices.price([one])) for one in bandings(proposer)]
    assert len(found) >= 12
    for choice, price in found:
        assert price is not None
        tail = price.total_bytes - price.head_bytes - plain.total_bytes + plain.head_bytes
        assert abs(choice.tail_bytes - tail) <= 0.05 * tail
        assert choice.macs == price.macs - plain.macs
        assert 0.99 * choice.head_bytes <= price.head_bytes <= 1.6 * choice.head_bytes


@pytest.mark.parametrize("kernels", ["reference", "cmsis-nn-dsp"])
@pytest.mark.parametrize("form", [VIEWS, LOOP])
def test_what_is_reckoned_for_other_forms_is_hardly_ever_above_what_they_need(form: str, kernels: str):
    search = Search(pricer(kernels, form), Goal(10**9))
    found = [search.proposer.choice([one]) for one in bandings(search.proposer)]
    for first, last in ((0, 4), (2, 3)):
        stage = search.proposer.cuts.stage(first, last)
        assert stage is not None
        for heights in ((1,) * stage.rows, (2,) * (stage.rows // 2)):
            one = Banding(stage, heights, False, stage.late, in_loops=True)
            found += [search.proposer.choice([one]), search.proposer.choice([replace(one, upward=True)])]
    assert any(search.pricer.loops(one) for choice in found for one in choice.bandings) == (form == LOOP)
    for choice in found:
        price = search.pricer.price(choice.bandings)
        assert price is not None
        assert 0.98 * search.arena_bytes(choice) <= price.arena_bytes <= 1.3 * search.arena_bytes(choice)


def test_the_result_of_a_loop_grows_over_rows_of_its_source():
    prices = pricer(form=LOOP)
    stage = cuts(prices.draft.graphs[0]).stage(0, 3)
    assert stage is not None
    price = prices.price([Banding(stage, (1,) * stage.rows, False, stage.late, in_loops=True)])
    assert price is not None
    assert price.way == 0
    tensors = prices.draft.graphs[0].tensors
    assert price.head_bytes < tensors[stage.source].elements + tensors[stage.result].elements


def test_what_is_found_without_loops_is_found_with_them_too():
    best = {form: Search(pricer(form=form), Goal(10**9)).run()[0] for form in (EXPLICIT, VIEWS, LOOP)}
    assert best[LOOP].arena_bytes <= best[VIEWS].arena_bytes <= best[EXPLICIT].arena_bytes


def test_rows_that_are_read_are_those_of_the_steps():
    graph = pricer().draft.graphs[0]
    stage = cuts(graph).stage(0, 4)
    assert stage is not None
    for start in range(stage.rows):
        for end in range(start + 1, stage.rows + 1):
            steps = stage.steps(Rows(start, end), stage.late)
            given = [rows for step in steps for i, rows in zip(step.layer.data, step.inputs, strict=True) if i == 0]
            assert stage.reads(Rows(start, end)) == Rows(min(r.start for r in given), max(r.end for r in given))


def test_what_promises_less_than_what_is_known_is_not_priced():
    search = Search(pricer(), Goal(10**9))
    choices = search.within(int(0.6 * search.plain.head_bytes))
    assert choices
    search.explore(choices)
    best = search.ranked()[0]
    assert best.bandings
    worse = [choice for choice in choices if choice.bandings not in search.pricer.known]
    assert worse
    assert all(search.hope(choice) >= search.goal.rank(best) for choice in worse)
    # A rival from another draft that is better than all of them leaves nothing to price.
    beaten = Search(pricer(), Goal(10**9), rivals=[replace(best, arena_bytes=1, macs=1)])
    beaten.explore(choices)
    assert set(beaten.pricer.known) == {()}


def test_a_choice_is_expected_to_need_what_others_of_its_kind_need():
    search = Search(pricer(), Goal(10**9))
    (one, *_) = (choice for choice in search.within(int(0.6 * search.plain.head_bytes)) if choice.bandings)
    price = search.priced(one)
    assert price is not None
    other = one._replace(tail_bytes=one.tail_bytes + 100)
    more = price.arena_bytes - search.arena_bytes(one)
    assert search.expected(other)[0] == search.promise(other)[0] + more == search.promise(one)[0] + 100 + more
    turned = replace(one.bandings[0], upward=not one.bandings[0].upward)
    unknown = Choice(one.head_bytes, one.tail_bytes, one.macs, (turned, *one.bandings[1:]))
    assert search.expected(unknown) == search.promise(unknown)


def test_limits_are_tried_where_they_promise_the_most():
    assert _widest({100: ((5,), 100), 200: ((9,), 200), 300: ((7,), 300)}) == 150
    assert _widest({100: ((5,), 90), 101: ((4,), 101), 300: ((9,), 300)}) == 200
    assert _widest({1000: ((5,), 990), 1001: ((4,), 1001)}) is None
    assert _widest({100: (_NONE, 100), 200: ((9, 1), 200), 240: ((9, 1), 240), 400: (_NONE, 400)}) == 320
    # The choice for 300 needs no more than 180: between the two nothing else is best.
    assert _widest({100: ((5,), 100), 300: ((4,), 180)}) == 140


def test_bands_that_could_only_save_less_than_they_cost_are_not_looked_for():
    # The input is all of the peak but a few bytes.
    content = network([Layer("conv", 3, 2, 4), Layer("conv", 1, 1, 4)], height=40, width=40, channels=12)
    search = Search(Pricer(open_draft(content), "reference", get("host64")), Goal(10**9))
    assert search.run() == (search.plain,)
