"""Calibration data and weights that are wrong: one clear error or warning each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exporters import tflite
from exporters.errors import ExportError


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))


def pictures(dtype=np.float32, channels=3, size=8):
    return np.random.default_rng(0).uniform(-1, 1, (4, size, size, channels)).astype(dtype)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pictures(size=9), r"\[9, 9, 3\].*\[8, 8, 3\]"),
        (pictures(channels=1), r"\[8, 8, 1\].*\[8, 8, 3\]"),
        (pictures().transpose(0, 3, 1, 2), r"\[3, 8, 8\].*\[8, 8, 3\]"),
        (pictures()[0], r"\[8, 3\]"),
        (pictures(np.float64), "float64, not float32"),
        ((pictures() * 100).astype(np.uint8), "uint8, not float32"),
        (np.full((2, 8, 8, 3), np.nan, np.float32), "NaN or infinite"),
    ],
)
@pytest.mark.parametrize("position", [0, 1])
def test_calibration_data_that_do_not_fit(batch, message, position):
    batches = [pictures(), pictures()]
    batches[position] = batch
    with pytest.raises(ExportError, match=message) as caught:
        tflite.export(network(), (1, 3, 8, 8), batches)
    assert caught.value.where == "input"
    assert caught.value.hint


def test_no_calibration_data():
    with pytest.raises(ExportError, match="no calibration data"):
        tflite.export(network(), (1, 3, 8, 8), [])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_weight_that_is_no_number_is_named_with_its_layer(value, name):
    net = network()
    with torch.no_grad():
        getattr(net[2], name).view(-1)[1] = value
    with pytest.raises(ExportError, match="a weight is NaN or infinite") as caught:
        tflite.export(net, (1, 3, 8, 8), [pictures()])
    assert caught.value.where == "2"


def test_dead_channels_are_a_warning_with_their_layer():
    net = network()
    with torch.no_grad():
        net[0].weight[:3] = 0
        net[0].bias[:3] = torch.tensor([0.5, 0.0, -0.5])
    model = tflite.export(net, (1, 3, 8, 8), [pictures(), pictures()])
    (warning,) = model.warnings
    assert warning.startswith("0: 3 of 8 channels never moved")
    assert tflite.export(network(), (1, 3, 8, 8), [pictures()]).warnings == ()


def test_data_that_are_all_alike_are_a_warning():
    model = tflite.export(network(), (1, 3, 8, 8), [np.zeros((4, 8, 8, 3), np.float32)])
    assert model.warnings[0].startswith("the input: 3 of 3 channels never moved")
