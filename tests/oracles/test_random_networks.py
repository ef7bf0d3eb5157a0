"""Networks put together by chance, to the byte or refused; benchmarks/export_parity.py tries thousands."""

from __future__ import annotations

import importlib.util

import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

from support.random_nets import outcomes

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")]

ONCE_WRONG = (1080, 2162, 10756, 205191, 6724, 206772)
"""Outputs that hardly differ, of which single precision shows; products and quotients half way between two integers."""


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_random_networks_are_exported_byte_for_byte(first):
    kinds = dict(outcomes(range(first, first + 30)))
    assert {outcome.kind for outcome in kinds.values()} <= {"ok", "refused"}, kinds
    assert sum(outcome.kind == "ok" for outcome in kinds.values()) >= 27
    assert all(
        "\n  " in outcome.detail for outcome in kinds.values() if outcome.kind == "refused"
    )  # what to do instead


def test_what_was_wrong_once():
    for seed in ONCE_WRONG:
        assert [outcome.kind for _, outcome in outcomes(range(seed, seed + 1))] == ["ok"]
