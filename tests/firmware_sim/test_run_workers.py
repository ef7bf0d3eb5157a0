"""Processes that run what may end them: results, refusals, deaths, and an end at any time."""

from __future__ import annotations

import operator
import os
import time

import pytest

from firmware_sim.errors import ModelError
from firmware_sim.model import read
from firmware_sim.run.workers import Workers, most_workers


def test_results_come_back_from_another_process():
    with Workers(2) as workers:
        sums = [workers.submit(operator.add, bytes(100_000), bytes([number])) for number in range(6)]
        processes = {workers.submit(os.getpid).result() for _ in range(6)}
        assert [len(one.result()) for one in sums] == [100_001] * 6
        assert [one.result()[-1] for one in sums] == list(range(6))
    assert os.getpid() not in processes
    assert len(processes) <= 2


def test_what_a_call_prints_is_not_its_result():
    with Workers(1) as workers:
        assert workers.submit(print, "words").result() is None
        assert workers.submit(os.write, 1, b"more").result() == 4


def test_refusals_and_deaths_are_model_errors_and_the_next_call_works():
    with Workers(1) as workers:
        refused = workers.submit(read, b"not a model")
        dead, wrong = workers.submit(os.abort), workers.submit(operator.add, 1, "two")
        after = workers.submit(operator.add, 1, 2)
        with pytest.raises(ModelError, match="not a"):
            refused.result()
        with pytest.raises(ModelError, match="ended the process with signal 6"):
            dead.result()
        with pytest.raises(ModelError, match="TypeError"):
            wrong.result()
        assert after.result() == 3


def test_a_call_that_takes_too_long_is_given_up():
    with Workers(1, timeout_s=0.5) as workers:
        slow = workers.submit(time.sleep, 60)
        with pytest.raises(ModelError, match=r"no answer within 0\.5 s"):
            slow.result()


def test_the_end_waits_for_nothing():
    start = time.monotonic()
    workers = Workers(2)
    calls = [workers.submit(time.sleep, 600) for _ in range(5)]
    time.sleep(0.1)
    workers.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert time.monotonic() - start < 60
    assert all(call.done() for call in calls)


def test_there_are_as_many_as_processors(monkeypatch: pytest.MonkeyPatch):
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not say which processors a process may use")
    for processors, expected in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, count=processors: set(range(count)))
        assert most_workers() == expected
