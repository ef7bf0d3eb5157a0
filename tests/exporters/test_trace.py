"""Tracing and lowering: the graph computes what the module computes, and what cannot be lowered is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.nets import randomise
from torch import nn

from exporters.errors import ExportError
from exporters.execute import run
from exporters.trace import trace


def test_the_graph_computes_what_the_module_computes(foreign, inputs):
    graph = trace(foreign, (1, 3, 16, 16))
    (actual,) = run(graph, inputs)
    expected = foreign(torch.tensor(inputs).permute(0, 3, 1, 2).contiguous()).detach().numpy()
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, atol=1e-5)


def test_only_operators_that_the_device_needs_are_left(foreign):
    graph = trace(foreign, (1, 3, 16, 16))
    # Normalisation, activations, flatten and dropout leave nothing behind; linear layers are convolutions.
    assert [op.op for op in graph.operators] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "CONV_2D", "LOGISTIC", "MUL", "CONCATENATION", "CONV_2D",
        "MAX_POOL_2D", "HARD_SWISH", "CONV_2D", "CONV_2D",
    ]  # fmt: skip
    assert [op.options["fused_activation_function"] for op in graph.operators[:2]] == ["RELU6", "RELU"]


def test_operators_know_the_module_they_come_from(foreign):
    places = {op.where for op in trace(foreign, (1, 3, 16, 16)).operators}
    assert {"stem.0", "depthwise", "gate.0", "classify"} <= places


def test_a_shared_output_is_not_folded_away():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            y = self.conv(x)
            return y + self.norm(y)

    net = randomise(Twice())
    graph = trace(net, (1, 3, 4, 4))
    assert [op.op for op in graph.operators] == ["CONV_2D", "DEPTHWISE_CONV_2D", "ADD"]
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    expected = net(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).detach().numpy()
    np.testing.assert_allclose(run(graph, x)[0], expected, atol=1e-5)


def test_the_training_flag_is_left_as_it_was(foreign):
    foreign.train()
    foreign.stem[1].eval()
    before = [part.training for part in foreign.modules()]
    trace(foreign, (1, 3, 16, 16))
    assert [part.training for part in foreign.modules()] == before
    assert foreign.training
    assert not foreign.stem[1].training


def test_what_a_sum_reads_is_not_changed_by_its_activation():
    """Activations are computed in place, on what the operator made; nobody else's map may move."""

    class Sum(nn.Module):
        def forward(self, x):
            y = x * 2.0
            return torch.relu(x + y), y, torch.relu(y - x)

    graph = trace(Sum(), (1, 3, 4, 4))
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    total, doubled, difference = run(graph, x)
    np.testing.assert_allclose(total, np.maximum(3 * x, 0), atol=1e-6)
    np.testing.assert_allclose(doubled, 2 * x, atol=1e-6)
    np.testing.assert_allclose(difference, np.maximum(x, 0), atol=1e-6)


def test_an_unknown_module_is_named_with_its_path():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.GELU()))
    with pytest.raises(ExportError) as caught:
        trace(net, (1, 3, 8, 8))
    assert caught.value.where == "1.0"
    assert "GELU cannot be exported" in str(caught.value)
    assert "ReLU6" in caught.value.hint
    assert caught.value.exit_code == 3


def test_an_unknown_function_is_named_with_the_module_that_calls_it():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.cumsum(x, 1)

    with pytest.raises(ExportError, match=r"cumsum\(\) cannot be exported") as caught:
        trace(nn.Sequential(nn.Conv2d(3, 4, 1), Odd()), (1, 3, 8, 8))
    assert caught.value.where == "1"


def test_control_flow_over_values_is_refused():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else x * 2

    with pytest.raises(ExportError, match="cannot be traced"):
        trace(Branch(), (1, 3, 8, 8))


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 3, 8)])
def test_only_single_maps_are_inputs(shape):
    with pytest.raises(ExportError, match=r"\[1, C, H, W\]"):
        trace(nn.Conv2d(3, 4, 1), shape)
