"""The price of a specification, against published figures and against the file that an export writes."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from sapool.cli.main import main
from sapool.pricing import price
from sapool.spec import parse


@pytest.mark.oracle
def test_stock_mobilenet_v2_costs_what_is_published():
    # 300M multiply-accumulates and 3.4M parameters (table 4 of the paper; torchvision counts 3,504,872).
    cost = price(parse("mobilenet_v2-strided-1222121:resolution=224,classes=1000"))
    assert round(cost.macs / 1e6) == 301
    assert cost.parameters == 3_504_872
    assert cost.arena.exact


@pytest.mark.oracle
def test_the_price_is_what_tflm_uses():
    tflm = pytest.importorskip("firmware_sim.run.tflm")
    pytest.importorskip("tflite_micro")
    import numpy as np

    import sapool.lowering  # noqa: F401
    from exporters import tflite
    from sapool.models import build

    spec = parse("mobilenet_v2-self_attentive-1221121:width=0.2,classes=3")
    noise = np.random.default_rng(3).normal(size=(4, 32, 32, 3)).astype(np.float32)
    content = tflite.export(build(spec).eval(), (1, 3, 32, 32), [noise]).content
    used = tflm.Tflm(content).arena
    arena = price(spec).arena
    assert (arena.total_bytes, arena.head_bytes, arena.tail_bytes) == (
        used.total_bytes, used.head_bytes, used.tail_bytes,
    )  # fmt: skip


def test_models_tells_the_price(capsys):
    text = "mobilenet_v2-average-1221121:width=0.1,classes=2"
    assert main(["models", text, "--format", "json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    cost = price(parse(text))
    assert model["spec"] == text
    assert model["arena"]["total_bytes"] == cost.arena.total_bytes
    assert model["extents"] == [16, 16, 8, 4, 4, 4, 2, 2]
    assert main(["models", text]) == 0
    assert f"{cost.macs:,}" in capsys.readouterr().out


def test_models_lists_what_a_specification_can_name(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for word in ("mobilenet_v2", "self_attentive", "window_norm", "before"):
        assert word in out


def test_a_specification_that_makes_no_sense_is_one_error(capsys):
    assert main(["models", "mobilenet_v2-max-4222121"]) == 2
    assert "no spatial extent left" in capsys.readouterr().err
