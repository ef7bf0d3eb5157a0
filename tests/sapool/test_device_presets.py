"""Presets that were made for devices: their arenas as TFLM measures them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
tflm = pytest.importorskip("firmware_sim.run.tflm")
pytest.importorskip("tflite_micro")

import sapool.lowering  # noqa: E402, F401
from exporters import tflite  # noqa: E402
from sapool.models import build  # noqa: E402
from sapool.pricing import price  # noqa: E402
from sapool.spec import parse  # noqa: E402

KIB = 1024
DEVICES = [("tiny", 64 * KIB), ("small", 128 * KIB), ("medium", 256 * KIB)]
MARGIN = 0.1


def measured(spec):
    """Bytes of the arena that TFLM uses for the exported network."""
    noise = np.random.default_rng(0).uniform(-1, 1, (1, spec.resolution, spec.resolution, 3)).astype(np.float32)
    content = tflite.export(build(spec).eval(), (1, 3, spec.resolution, spec.resolution), [noise]).content
    return tflm.Tflm(content).arena.total_bytes


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize(("name", "device_bytes"), DEVICES)
def test_a_preset_leaves_room_on_its_device(name, device_bytes):
    spec = parse(name)
    assert 96 <= spec.resolution <= 128
    used = measured(spec)
    assert used <= device_bytes * (1 - MARGIN)
    assert price(spec).arena.total_bytes == used


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in DEVICES])
def test_a_pooled_preset_takes_less_than_its_plain_form(name):
    spec = parse(name)
    plain = parse(spec.backbone, width=spec.width, resolution=spec.resolution)
    assert set(spec.methods) == {"self_attentive"}
    assert measured(spec) < measured(plain)


@pytest.mark.oracle
@pytest.mark.slow
def test_nano_takes_a_9_5th_of_stock_mobilenet_v2():
    spec = parse("nano")
    stock = parse("mobilenet_v2-strided-1222121", resolution=spec.resolution)
    assert measured(stock) >= 9.5 * measured(spec)
