"""However a network is calibrated, TFLM and LiteRT give the same bytes."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "tflite_micro", "ai_edge_litert")):
    pytest.skip("needs torch, tflite-micro and ai-edge-litert", allow_module_level=True)

from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters import tflite
from exporters.execute import run
from exporters.parity import compare
from exporters.quantize import Calibration
from exporters.quantize.estimators import methods
from firmware_sim.model import read
from sapool import models
from sapool.data import preprocessing
from sapool.spec import parse
from sapool.training.predictors.tflite import TflitePredictor

pytestmark = pytest.mark.oracle

IMAGES = np.random.default_rng(1).integers(0, 256, (20, 32, 32, 3)).astype(np.uint8)


def separable():
    """Depthwise convolutions with ReLU, which can be equalised."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(), nn.Conv2d(8, 16, 1),
        nn.ReLU(), nn.MaxPool2d(3), nn.Conv2d(16, 16, 3, groups=16), nn.ReLU(), nn.Conv2d(16, 5, 3),
    )  # fmt: skip


@pytest.mark.parametrize("text", ["mobilenet_v2-self_attentive-2121111:width=0.1", "separable"])
@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("method", methods())
def test_every_method_reaches_the_device_unchanged(text, method, steps):
    net = randomise(separable() if text == "separable" else models.build(parse(text)))
    settings = Calibration(method, bias_correction=steps, equalisation=steps)
    seen = []
    batches = [preprocessing.to_float(IMAGES[:8]), preprocessing.to_float(IMAGES[8:])]
    model = tflite.export(net, (1, 3, 32, 32), iter(batches), settings=settings, progress=seen.append)
    assert model.lowering_error < 2e-3
    assert seen == sorted(seen)
    assert seen[-1] == 20
    parity = compare(model.content, preprocessing.to_device(IMAGES[:10]))
    assert parity.equal, f"{parity.differing} of {parity.examples} differ"
    record = json.loads(bytes(read(model.content).metadata["sapool.calibration/1"]))
    assert (record["method"], record["bias_correction"], record["equalisation"]) == (method, steps, steps)
    assert record["examples"] == 20
    pairs = (record["equalised_pairs"], record["relu6_pairs"])
    if not steps:
        assert pairs == (0, 0)
    elif text == "separable":
        assert pairs == (2, 0)
    else:
        assert pairs[0] == 0 < pairs[1]


def test_methods_give_different_files():
    net = randomise(separable())
    float_images = [preprocessing.to_float(IMAGES)]
    choices = [Calibration(method) for method in methods()] + [
        Calibration(bias_correction=False), Calibration(equalisation=True),
    ]  # fmt: skip
    files = {tflite.export(net, (1, 3, 32, 32), float_images, settings=choice).content for choice in choices}
    assert len(files) == len(choices)


@pytest.mark.parametrize("pooling", ["average", "subspace_attention", "self_attentive"])
def test_corrected_biases_bring_the_mean_output_in_litert_nearer_to_float(pooling):
    # Other images than those that the biases follow from.
    net = randomise(models.build(parse(f"mobilenet_v2-{pooling}-2121111:width=0.1")))
    images = np.random.default_rng(2).integers(0, 256, (164, 32, 32, 3)).astype(np.uint8)
    batches, others = [preprocessing.to_float(images[:64])], images[64:]

    def error(settings):
        model = tflite.export(net, (1, 3, 32, 32), iter(batches), settings=settings)
        exact = run(model.float_graph, preprocessing.to_float(others))[0].reshape(len(others), -1)
        return (TflitePredictor(model.content)(others) - exact).mean(axis=0)

    before, after = error(Calibration(bias_correction=False)), error(Calibration())
    assert np.abs(after).mean() < 0.6 * np.abs(before).mean()
