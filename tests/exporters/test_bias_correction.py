"""Bias correction: rounded kernels give the mean outputs of the float ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.nets import randomise
from torch import nn

from exporters.quantize import Means, observe, quantize
from exporters.quantize.correct import correct_bias, means_for
from exporters.tflite import PIXELS
from exporters.trace import trace


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 6, 3, padding=1),
        nn.Conv2d(3, 3, 5, stride=2, groups=3),
        nn.Conv2d(3, 6, (3, 1), groups=3),
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(3, 6, 3, padding=2, dilation=2),
    ],
)
def test_the_mean_of_each_channel_is_that_of_the_float_kernel(conv, inputs):
    randomise(conv)
    inputs = inputs[..., np.arange(conv.in_channels) % 3]
    graph = trace(conv, (1, conv.in_channels, 16, 16))
    means = means_for(graph)
    quantised = quantize(graph, observe(graph, [inputs[:20], inputs[20:]], means=means), input_quantization=PIXELS)
    corrected = correct_bias(graph, quantised, means)
    (op,) = graph.operators

    def mean_output(which):
        """By torch's convolution over all images, with the kernels that the integers stand for."""
        kernel, bias = (which.tensors[name] for name in op.inputs[1:])
        axis = kernel.quantization.dimension
        along = [-1 if n == axis else 1 for n in range(4)]
        real = kernel.data * np.array(kernel.quantization.scale).reshape(along)
        weight = torch.as_tensor(real.transpose(3, 0, 1, 2) if axis == 3 else real.transpose(0, 3, 1, 2))
        # [O, 1, h, w] of a depthwise kernel is transposed the same way: its last axis is the channels.
        x = torch.as_tensor(inputs).permute(0, 3, 1, 2).double()
        offsets = torch.as_tensor(bias.data * np.array(bias.quantization.scale))
        result = F.conv2d(x, weight, offsets, conv.stride, conv.padding, conv.dilation, conv.groups)
        return result.mean(dim=(0, 2, 3)).numpy(), np.array(bias.quantization.scale)

    exact = conv(torch.as_tensor(inputs).permute(0, 3, 1, 2)).mean(dim=(0, 2, 3)).detach().numpy()
    before, _ = mean_output(quantised)
    after, step = mean_output(corrected)
    # What is left is the rounding of the bias itself, half a step, and float32.
    assert np.all(np.abs(after - exact) <= 0.5 * step + 1e-6)
    assert np.abs(after - exact).max() < 0.2 * np.abs(before - exact).max()


def test_kernels_stay_and_only_biases_move(inputs):
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    graph = trace(net, (1, 3, 16, 16))
    means = means_for(graph)
    quantised = quantize(graph, observe(graph, [inputs], means=means), input_quantization=PIXELS)
    corrected = correct_bias(graph, quantised, means)
    changed = {
        name for name, tensor in corrected.tensors.items()
        if tensor.data is not None and not np.array_equal(tensor.data, quantised.tensors[name].data)
    }  # fmt: skip
    assert changed
    assert {corrected.tensors[name].dtype for name in changed} == {"int32"}


def test_means_are_numpys(inputs):
    means = Means(frozenset({"a"}))
    for batch in (inputs[:5], inputs[5:]):
        means.add("a", torch.as_tensor(batch))
        means.add("b", torch.as_tensor(batch))
    np.testing.assert_allclose(means.mean("a"), inputs.mean(axis=0, keepdims=True), atol=1e-6)
    with pytest.raises(KeyError):
        means.mean("b")
