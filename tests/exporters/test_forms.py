"""Which form of a layer is taken, and that the price behind it is the arena of the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from exporters import forms, tflite
from exporters.forms import Choice, Forms, choose
from exporters.lower import Builder, Value, register
from firmware_sim import memreport
from firmware_sim.model import read


class Widen(nn.Module):
    """ReLU: directly, or by way of `factor` times as many channels, which needs more memory."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return torch.relu(x)


@register(Widen)
def widen(module: Widen, builder: Builder, x: Value) -> Value:
    form = builder.choose("width", ("wide", "same"))
    if form == "wide":
        channels = x.shape[3]
        kernel = np.eye(channels, dtype=np.float32).repeat(module.factor, 0) / module.factor
        x = builder.conv(x, kernel[:, :, None, None], None)
        x = builder.conv(x, kernel.T[:, :, None, None] * module.factor, None)
    return builder.unary("RELU", x)


def network(count):
    return nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), Widen(3)) for _ in range(count)))


@pytest.mark.parametrize("count", [1, 3, 6])  # six layers are too many to price every combination
def test_the_smallest_arena_is_taken_and_every_price_is_that_of_a_file(count):
    net, x = network(count), np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    model = tflite.export(net, (1, 3, 8, 8), [x])
    assert [choice.form for choice in model.choices] == ["same"] * count
    assert model.choices[0].layer == "0.1: width"
    arena = memreport(read(model.content)).arena.total_bytes
    for choice in model.choices:
        assert choice.arena_bytes["same"] == arena < choice.arena_bytes["wide"]
    assert bytes(read(model.content).metadata[forms.METADATA]) == forms.describe(model.choices)


def test_other_profiles_have_other_prices():
    x = np.zeros((1, 8, 8, 3), np.float32)
    model = tflite.export(network(1), (1, 3, 8, 8), [x], profile="cortex-m-cmsis-nn-dsp")
    arena = memreport(read(model.content), profile="cortex-m-cmsis-nn-dsp").arena.total_bytes
    assert model.choices[0].arena_bytes["same"] == arena


def test_a_network_without_choices_says_nothing(foreign, inputs):
    model = tflite.export(foreign, (1, 3, 16, 16), [inputs])
    assert model.choices == ()
    assert forms.METADATA not in read(model.content).metadata


@pytest.mark.parametrize("layers", [2, 5])
def test_layers_that_only_help_together_are_found(layers):
    """A peak that two layers share falls only when both change: the start from forms of one name sees it."""
    names = ("a", "b")

    def lower(wanted: Forms):
        taken = tuple(wanted.take(f"layer {i}", names) for i in range(layers))
        builder = Builder()
        x = builder.input((1, 1, 1, 1))
        for form in taken:
            x = builder.unary("RELU" if form == "a" else "LOGISTIC", x)
        return _graph(builder, x)

    def arena(graph, profile):
        taken = [op.op for op in graph.operators]
        return 50 if taken == ["LOGISTIC"] * layers else 100 + taken.count("LOGISTIC")

    _, choices = choose(lower, cost=arena)
    assert [choice.form for choice in choices] == ["b"] * layers
    assert choices[0] == Choice("layer 0", "b", {"a": 100 + layers - 1, "b": 50})


def _graph(builder, x):
    return builder.finish([Value("input", (1, 1, 1, 1))], [x])


def test_of_equal_prices_the_fewest_operators_and_then_the_first_forms_win():
    def lower(wanted: Forms):
        form = wanted.take("layer", ("long", "short", "last"))
        builder = Builder()
        x = builder.input((1, 1, 1, 1))
        for _ in range({"long": 2, "short": 1, "last": 1}[form]):
            x = builder.unary("RELU", x)
        return _graph(builder, x)

    _, (choice,) = choose(lower, cost=lambda graph, profile: 7)
    assert choice.form == "short"


def test_a_wish_for_a_form_that_does_not_exist_is_the_first_form():
    assert Forms({"x": "none"}).take("x", ("a", "b")) == "a"
    assert Forms({"x": "b"}).take("x", ("a", "b")) == "b"
