"""Cross-layer equalisation: the same function with channels of the same size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.nets import Foreign, randomise
from torch import nn

from exporters.execute import run
from exporters.quantize import Calibration, Motion, observe
from exporters.quantize.equalise import equalise
from exporters.tflite import export
from exporters.trace import trace


def uneven(module, seed=3):
    """Random weights whose output channels differ in size by up to a factor of thirty."""
    randomise(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                size = torch.exp(torch.empty(part.out_channels).uniform_(-1.7, 1.7, generator=generator))
                part.weight.mul_(size.view(-1, 1, 1, 1))
                if part.bias is not None:
                    part.bias.mul_(size)
    return module


def chain(activation=nn.ReLU):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), activation(), nn.Conv2d(8, 8, 3, padding=1, groups=8), activation(),
        nn.MaxPool2d(2), nn.Conv2d(8, 12, 1), activation(), nn.AvgPool2d(2), nn.Conv2d(12, 12, 3, padding=1, groups=12),
        nn.Conv2d(12, 6, 1),
    )  # fmt: skip


def equalised(net, inputs):
    graph = trace(net, (1, 3, 16, 16))
    motion = Motion()
    observe(graph, [inputs], motion=motion)
    return graph, equalise(graph, motion.spans())


@pytest.mark.parametrize(("make", "pairs"), [(chain, 2), (Foreign, 0)])
def test_the_function_stays(make, pairs, inputs):
    graph, result = equalised(uneven(make()), inputs)
    (before,), (after,) = run(graph, inputs), run(result.graph, inputs)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
    assert len(result.pairs) == pairs


def test_channels_in_front_of_a_depthwise_convolution_get_the_same_span(inputs):
    graph, result = equalised(uneven(chain()), inputs)
    name = graph.operators[0].outputs[0]

    def spread(which):
        motion = Motion()
        observe(which, [inputs], motion=motion)
        spans = motion.spans()[name]
        return spans.max() / spans.min()

    assert spread(graph) > 4
    assert spread(result.graph) == pytest.approx(1, abs=1e-5)


def test_relu6_stops_it_and_is_counted(inputs):
    graph, result = equalised(uneven(chain(nn.ReLU6)), inputs)
    assert result.relu6 == 2
    assert result.pairs == ()
    assert all(result.graph.tensors[name].data is tensor.data for name, tensor in graph.tensors.items())


def test_an_output_and_a_second_reader_stop_it(inputs):
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 4, 1, groups=4)

        def forward(self, x):
            x = self.a(x)
            y = self.b(x)
            return x + y, y, self.c(y)

    _, result = equalised(uneven(Forked()), inputs)
    assert result.pairs == ()
    assert result.relu6 == 0


def test_int8_gets_better_where_channels_are_uneven(inputs):
    net = uneven(chain())
    torch_output = net(torch.as_tensor(inputs).permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1).numpy()
    errors = []
    for equal in (False, True):
        model = export(net, (1, 3, 16, 16), [inputs], settings=Calibration(equalisation=equal))
        litert = pytest.importorskip("firmware_sim.run.litert").LiteRt(model.content)
        integers = (inputs * 128).astype(np.int8)
        (scale,), (zero,) = (
            model.graph.tensors[model.graph.outputs[0]].quantization.scale,
            model.graph.tensors[model.graph.outputs[0]].quantization.zero_point,
        )
        real = np.concatenate([(litert.invoke(x[None])[0].astype(float) - zero) * scale for x in integers])
        errors.append(float(np.sqrt(np.mean((real - torch_output) ** 2))))
    assert model.calibration.equalised_pairs == 2
    assert errors[1] < 0.8 * errors[0]
