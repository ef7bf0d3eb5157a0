"""Equal constants that lowerings make are stored once, learnt ones as often as they are learnt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters import tflite
from exporters.sharing import contents, shared
from firmware_sim import memreport
from firmware_sim.model import read
from sapool.pooling.self_attentive import SelfAttentivePooling


def pools(count):
    """Pools of as many channels behind each other, with learnt layers between."""
    layers = []
    for place in range(count):
        layers += [
            SelfAttentivePooling(8, 2, (16 >> place, 16 >> place), heads=2, window_norm=True),
            nn.Conv2d(8, 8, 1),
        ]
    return randomise(nn.Sequential(*layers)).eval()


def exported(net, channels=8, extent=16, **options):
    x = np.random.default_rng(0).uniform(-1, 1, (4, extent, extent, channels)).astype(np.float32)
    return tflite.export(net, (1, channels, extent, extent), [x], **options)


def names_of(model):
    (subgraph,) = read(model.content).subgraphs
    return [tensor.name for tensor in subgraph.tensors]


def test_two_equal_pools_store_their_constants_once():
    model = exported(pools(2))
    names = names_of(model)
    assert sum(name.endswith("restore/weight_2") for name in names) == 1
    assert "0.restore/weight_2" in names
    assert sum(name.endswith("restore/weight") for name in names) == 2
    kernels = [op.inputs[1] for op in model.graph.operators if op.outputs[0].endswith("restore/depthwise_conv_2d")]
    assert kernels == ["0.restore/weight_2"] * 2


@pytest.mark.parametrize("profile", ["host64", "cortex-m-cmsis-nn-dsp"])
def test_the_price_of_each_form_counts_them_once(profile):
    model = exported(pools(3), profile=profile)
    arena = memreport(read(model.content), profile=profile).arena.total_bytes
    assert len(model.choices) == 6
    for choice in model.choices:
        assert choice.arena_bytes[choice.form] == arena


def test_learnt_weights_stay_apart_even_if_they_are_equal():
    net = randomise(nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1)))
    net[2].load_state_dict(net[0].state_dict())
    names = names_of(exported(net))
    assert {"0/weight", "0/bias", "2/weight", "2/bias"} <= set(names)


def test_whole_numbers_are_shared():
    class Halves(nn.Module):
        def forward(self, x):
            a, b = torch.split(x, 4, 1)
            return torch.cat([b, a, torch.split(x * 2.0, 4, 1)[1]], 1)

    model = exported(Halves())
    slices = [op for op in model.graph.operators if op.op == "SLICE"]
    assert len({op.inputs[2] for op in slices}) == 1
    assert len({op.inputs[1] for op in slices}) == 2


def test_sharing_again_changes_nothing_and_everything_fixed_is_there_once():
    graph = exported(pools(2)).graph
    assert shared(graph) is graph
    found = contents(graph)
    assert found
    assert len(set(found)) == len(found)
