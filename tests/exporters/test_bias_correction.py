"""Bias correction: an int8 network gives the mean outputs of the float one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.nets import randomise
from torch import nn

from exporters.errors import ExportError
from exporters.quantize import correct, observe, quantize
from exporters.quantize.correct import Reference, correct_bias
from exporters.tflite import PIXELS
from exporters.trace import trace


def both(net, batches):
    """The float graph of a network, its integers before and after the correction, and what watched it."""
    graph = trace(net, (1, batches[0].shape[3], *batches[0].shape[1:3]))
    reference = Reference()
    ranges = observe(graph, reference.watch(batches), finish=reference.finish)
    quantised = quantize(graph, ranges, input_quantization=PIXELS)
    return graph, quantised, correct_bias(graph, quantised, reference), reference


def real(graph, name):
    """The numbers that the integers of a constant stand for."""
    tensor = graph.tensors[name]
    along = [-1 if n == tensor.quantization.dimension else 1 for n in range(tensor.data.ndim)]
    return tensor.data * np.array(tensor.quantization.scale).reshape(along)


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
    # The same example again and again, so that nothing of the difference is chance.
    inputs = inputs[:1, ..., np.arange(conv.in_channels) % 3].repeat(32, axis=0)
    graph, before, after, _ = both(conv, [inputs[:20], inputs[20:]])
    (op,) = graph.operators

    def mean_output(which):
        """By torch's own convolution with the kernel that the integers stand for: pixels are exact."""
        kernel, bias = (real(which, name) for name in op.inputs[1:])
        # [O, 1, h, w] of a depthwise kernel is transposed the same way: its last axis is the channels.
        weight = kernel.transpose(3, 0, 1, 2) if op.op == "DEPTHWISE_CONV_2D" else kernel.transpose(0, 3, 1, 2)
        x = torch.as_tensor(inputs).permute(0, 3, 1, 2).double()
        result = torch.nn.functional.conv2d(
            x, torch.as_tensor(weight), torch.as_tensor(bias), conv.stride, conv.padding, conv.dilation, conv.groups
        )
        return result.mean(dim=(0, 2, 3)).numpy()

    step = np.array(after.quantization(op.inputs[2]).scale)
    exact = conv(torch.as_tensor(inputs).permute(0, 3, 1, 2)).mean(dim=(0, 2, 3)).detach().numpy()
    left = np.abs(mean_output(after) - exact)
    # What is left is the rounding of the bias itself, half a step, and float32.
    assert np.all(left <= 0.5 * step + 1e-6)
    assert left.max() < 0.2 * np.abs(mean_output(before) - exact).max()


def test_ties_of_an_average_are_made_up_for_by_the_next_convolution():
    # Pairs of pixels whose averages all lie halfway between two integers above zero, and go away from it.
    pixels = np.random.default_rng(0).integers(0, 120, (40, 8, 4, 1))
    inputs = (np.stack([pixels, pixels + 1], axis=3) / 128).astype(np.float32).reshape(40, 8, 8, 1)
    net = nn.Sequential(nn.AvgPool2d((1, 2)), nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        net[1].weight.fill_(1.0)
        net[1].bias.fill_(0.25)
    graph, before, after, _ = both(net, [inputs])
    name = graph.operators[1].inputs[2]
    # Half a step of the input's scale too much.
    assert real(after, name) - real(before, name) == pytest.approx(-0.5 / 128, rel=0.15)


def test_layers_behind_are_computed_with_the_biases_of_those_in_front(inputs):
    net = randomise(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)))
    # A kernel whose rounding moves the mean: many weights that are all 0.45 steps above an integer.
    with torch.no_grad():
        net[0].weight.fill_(0.45 / 127)
        net[0].weight[:, 0, 0, 0] = 1.0
    graph, before, after, _ = both(net, [inputs + 1])
    first, *others = (op.inputs[2] for op in graph.operators)
    assert np.abs(real(after, first) - real(before, first)).min() > 0.01
    # If it were made up for again, the second layer's biases would move as far as its weights carry the first one's.
    carried = np.abs(net[2].weight.detach().sum(dim=(2, 3)).numpy() @ (real(after, first) - real(before, first)))
    assert np.abs(real(after, others[0]) - real(before, others[0])).max() < 0.2 * carried.max()


def test_kernels_stay_and_only_biases_move(inputs):
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    _, quantised, corrected, _ = both(net, [inputs])
    changed = {
        name for name, tensor in corrected.tensors.items()
        if tensor.data is not None and not np.array_equal(tensor.data, quantised.tensors[name].data)
    }  # fmt: skip
    assert changed
    assert {corrected.tensors[name].dtype for name in changed} == {"int32"}


def test_one_example_tells_nothing(inputs):
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    graph, before, after, _ = both(net, [inputs[:1]])
    for op in graph.operators:
        np.testing.assert_array_equal(after.tensors[op.inputs[2]].data, before.tensors[op.inputs[2]].data)


def test_what_may_be_chance_is_left_alone():
    noise = torch.as_tensor(np.random.default_rng(0).normal(size=(64, 500)))
    assert np.abs(correct._shift(noise)).max() < 0.3 * float(noise.mean(dim=0).abs().max())
    assert correct._shift(noise + 3) == pytest.approx(noise.mean(dim=0).numpy() + 3, rel=0.01)
    assert correct._shift(noise[:1] + 3).tolist() == [0] * 500
    assert correct._shift(torch.zeros(8, 2)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("extent", "kept"),
    [
        (8, [*range(30), 30, 50]),
        (256, [*range(3), 3, 8, 13, 18, 23]),
        (1024, [0]),
    ],
)
def test_a_few_examples_are_kept_evenly_from_each_batch(extent, kept):
    images = np.broadcast_to(np.arange(70, dtype=np.float32)[:, None, None, None], (70, extent, extent, 1))
    batches = [images[:3], images[3:30], images[30:]]
    reference = Reference()
    assert [len(batch) for batch in reference.watch(batches)] == [3, 27, 40]
    (examples,) = reference.examples()
    assert examples[:, 0, 0, 0].tolist() == kept


def test_means_are_those_of_torch_before_the_activation(inputs):
    net = randomise(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU6()))
    graph, _, _, reference = both(net, [inputs[:7], inputs[7:9], inputs[9:]])
    expected = net[0](torch.as_tensor(inputs).permute(0, 3, 1, 2)).mean(dim=(2, 3)).detach()
    assert len(inputs) <= 32
    torch.testing.assert_close(reference.means(graph.operators[0].outputs[0]), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "batch",
    [
        (),
        np.zeros((0, 16, 16, 3), np.float32),
        np.zeros(5, np.float32),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 16)),
    ],
    ids=["no array", "no example", "no map", "another resolution", "another type"],
)
def test_batches_that_a_graph_does_not_take_are_refused_as_without_correction(batch):
    graph = trace(randomise(nn.Conv2d(3, 4, 3)), (1, 3, 16, 16))
    reference = Reference()
    with pytest.raises(ExportError):
        observe(graph, reference.watch([batch]), finish=reference.finish)
