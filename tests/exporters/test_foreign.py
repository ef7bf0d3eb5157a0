"""Networks of strangers: modules, functions and methods mean the same; what is not supported is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.foreign_nets import NETS, TwoHeads
from support.nets import randomise
from torch import nn

from exporters.errors import ExportError
from exporters.execute import run
from exporters.trace import trace

X = np.random.default_rng(3).normal(0, 2, (3, 12, 12, 8)).astype(np.float32)


class Call(nn.Module):
    """A network of one expression."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def check(module, x=X):
    """The graph computes what the module computes; returns the operators."""
    module = module if isinstance(module, nn.Module) else Call(module)
    graph = trace(module.eval(), (1, x.shape[3], *x.shape[1:3]))
    with torch.inference_mode():
        expected = module(torch.tensor(x).permute(0, 3, 1, 2).contiguous())
    expected = (expected.permute(0, 2, 3, 1) if expected.ndim == 4 else expected).numpy()
    np.testing.assert_allclose(run(graph, x)[0].reshape(expected.shape), expected, atol=2e-5)
    return [op.op for op in graph.operators]


@pytest.mark.parametrize("net", NETS, ids=lambda net: net.__name__)
def test_published_styles_are_lowered_exactly(net):
    torch.manual_seed(0)
    check(randomise(net()), np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32))


SAME = {
    "RELU": [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, lambda x: x.relu(), lambda x: x.clamp(min=0)],
    "RELU6": [nn.ReLU6(), F.relu6, nn.Hardtanh(0, 6), lambda x: F.hardtanh(x, 0, 6), lambda x: torch.clamp(x, 0, 6)],
    "LOGISTIC": [nn.Sigmoid(), torch.sigmoid, F.sigmoid, lambda x: x.sigmoid()],
    "TANH": [nn.Tanh(), torch.tanh, lambda x: x.tanh()],
    "HARD_SWISH": [nn.Hardswish(), F.hardswish],
    "LEAKY_RELU": [nn.LeakyReLU(0.2), lambda x: F.leaky_relu(x, 0.2)],
    "SOFTMAX": [nn.Softmax(1), lambda x: F.softmax(x, dim=1), lambda x: torch.softmax(x, 1), lambda x: x.softmax(-3)],
    "MAX_POOL_2D": [
        nn.MaxPool2d(2), lambda x: F.max_pool2d(x, 2), lambda x: torch.max_pool2d(x, (2, 2)),
        lambda x: F.max_pool2d(input=x, kernel_size=3, stride=3), nn.AdaptiveMaxPool2d(4), nn.MaxPool2d(3, 1, 1),
    ],
    "AVERAGE_POOL_2D": [
        nn.AvgPool2d(3), lambda x: F.avg_pool2d(x, 2, 1), nn.AdaptiveAvgPool2d((3, 6)), lambda x: x.mean((2, 3)),
        lambda x: x.mean(-1, True), lambda x: torch.mean(x, dim=[2, 3], keepdim=True), lambda x: x.view(-1, 8, 144).mean(2),
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), lambda x: F.avg_pool2d(x, x.shape[2:]).squeeze(3).squeeze(2),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AvgPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d(11),
    ],
    "DEPTHWISE_CONV_2D": [
        nn.AvgPool2d(3, 1, 1), lambda x: F.avg_pool2d(x, 3, 2, 1), nn.AvgPool2d(2, divisor_override=3), lambda x: x + 1.5,
        lambda x: 1 - x, lambda x: x * torch.arange(8.0).view(1, 8, 1, 1), lambda x: x / 4, lambda x: -x,
        lambda x: x.sub(2), nn.BatchNorm2d(8), lambda x: F.conv2d(x, torch.ones(8, 1, 3, 3), padding=1, groups=8),
    ],
    "RESIZE_NEAREST_NEIGHBOR": [
        nn.Upsample(scale_factor=2), nn.UpsamplingNearest2d(24), lambda x: F.interpolate(x, scale_factor=(3, 1)),
        lambda x: F.interpolate(x, size=(24, 36), mode="nearest"), nn.AdaptiveAvgPool2d(24),
    ],
    "SLICE": [
        lambda x: x[:, 2:5], lambda x: x[:, :, 1:, 3:7], lambda x: x.chunk(2, 1)[1], lambda x: torch.split(x, [3, 5], 1)[0],
    ],
    "ADD": [lambda x: x + x, lambda x: torch.add(x, x), lambda x: x.add(x), lambda x: x.add_(x)],
    "MUL": [lambda x: x * x, lambda x: x.mul(x), lambda x: torch.mul(input=x, other=x)],
}  # fmt: skip


@pytest.mark.parametrize(("op", "index"), [(op, i) for op, forms in SAME.items() for i in range(len(forms))])
def test_modules_functions_and_methods_are_one_operator(op, index):
    ops = check(SAME[op][index])
    # A RELU6 that no operator can carry rides on a convolution of ones.
    assert ops == ["DEPTHWISE_CONV_2D" if op == "RELU6" else op]


def test_an_adaptive_pool_may_shrink_one_axis_and_repeat_the_other():
    assert check(nn.AdaptiveAvgPool2d((24, 4))) == ["AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR"]
    assert check(nn.AdaptiveMaxPool2d((3, 36))) == ["MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR"]
    one_row = X[:, :1]
    assert check(nn.AdaptiveAvgPool2d((2, 2)), one_row) == ["AVERAGE_POOL_2D", "RESIZE_NEAREST_NEIGHBOR"]


def test_a_window_that_hangs_over_a_whole_axis_sees_all_of_it():
    for rows in (X[:, :1], X[:, :2]):
        assert check(nn.MaxPool2d(3, 3, ceil_mode=True), rows) == ["MAX_POOL_2D"]
        assert check(nn.AvgPool2d(3, 3, ceil_mode=True), rows) == ["AVERAGE_POOL_2D"]
    with pytest.raises(ExportError, match="does not fit a map of 2\n  use a smaller window"):
        trace(nn.MaxPool2d(3), (1, 8, 2, 12))


def test_views_leave_nothing_behind():
    weight, bias = torch.randn(5, 8 * 144) * 0.02, torch.randn(5)

    def linear(x):
        return F.linear(x, weight, bias)

    for form in (
        lambda x: linear(x.flatten(1)), lambda x: linear(torch.flatten(x, 1)), lambda x: linear(x.view(x.size(0), -1)),
        lambda x: linear(x.reshape(-1, 8 * 144)), lambda x: linear(torch.reshape(x, (x.shape[0], 1152)).contiguous()),
        lambda x: linear(x.view(-1, 8, 144).flatten(1)),
    ):  # fmt: skip
        assert check(form) == ["CONV_2D"]


def test_gates_and_masks_broadcast():
    assert check(lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)))[-1] == "MUL"
    assert (
        check(lambda x: torch.sigmoid(x.mean((2, 3)))[:, :].unsqueeze(-1).unsqueeze(-1).expand_as(x) * x)[-1] == "MUL"
    )
    assert check(lambda x: x * torch.sigmoid(torch.mean(x, 1, keepdim=True))) == ["CONV_2D", "LOGISTIC", "MUL"]


def test_concatenation_along_every_axis_and_of_more_than_ten():
    for dim in (1, 2, 3, -1):
        assert check(lambda x, dim=dim: torch.cat([x, x * x], dim)) == ["MUL", "CONCATENATION"]
    assert check(lambda x: torch.cat([x] * 23, 1)).count("CONCATENATION") == 4
    assert check(lambda x: torch.cat([x.mean((2, 3)), x.mean((2, 3))], 1))[-1] == "CONCATENATION"


def test_a_change_in_place_is_seen_by_later_readers():
    class Relu(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            x = x * 1.5
            return self.relu(x) * 2 + x

    check(Relu())
    for function in (lambda x: torch.relu_(x) * 2 + x, lambda x: F.relu(x * 2, inplace=True), lambda x: x.mul_(3) + x):
        check(lambda x, f=function: f(x * 1.5))
    # An assignment such as x += y leaves no trace of its own; the export notices by the result.
    from exporters import tflite

    class Alias(nn.Module):
        def forward(self, x):
            x = x * 2
            before = x
            x += 1
            return before * x

    with pytest.raises(ExportError, match="differs from the module"):
        tflite.export(Alias(), (1, 8, 12, 12), [X])


def test_a_change_of_a_part_that_is_read_as_a_whole_is_refused():
    class Parts(nn.Module):
        def __init__(self, again):
            super().__init__()
            self.again = again

        def forward(self, x):
            x = x * 2
            first, second = x.chunk(2, 1)
            y = first.relu_() + second
            return y + x[:, 1:5] if self.again else y

    check(Parts(again=False))
    with pytest.raises(ExportError, match="changes a part of a tensor in place that is read again"):
        trace(Parts(again=True), (1, 8, 12, 12))
    with pytest.raises(ExportError, match="changes a part of a tensor in place that is read again"):
        trace(Call(lambda x: F.relu(x[:, :4], inplace=True) + (x * 2)[:, 4:]), (1, 8, 12, 12))


def test_results_that_nobody_reads_are_left_out():
    class Net(nn.Module):
        def forward(self, x):
            torch.sigmoid(x)
            return x + x

    assert check(Net()) == ["ADD"]


def test_several_inputs_and_outputs():
    net = randomise(TwoHeads())
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32) for _ in range(2))
    graph = trace(net, [(1, 3, 16, 16), (1, 3, 16, 16)])
    boxes, classes = run(graph, (x, y))
    expected = net(*(torch.tensor(a).permute(0, 3, 1, 2) for a in (x, y)))
    np.testing.assert_allclose(boxes, expected["boxes"].detach().permute(0, 2, 3, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(classes.reshape(2, 5), expected["classes"].detach().numpy(), atol=1e-5)
    with pytest.raises(ExportError, match="no shape for the input depth"):
        trace(net, (1, 3, 16, 16))
    with pytest.raises(ExportError, match="2 input shapes for a network with 1"):
        trace(Call(F.relu), [(1, 3, 16, 16), (1, 3, 16, 16)])
    with pytest.raises(ExportError, match="1 arrays for a graph with 2 inputs"):
        run(graph, x)


REFUSED = [
    (nn.GELU(), "GELU", "Hardswish"),
    (nn.ConvTranspose2d(8, 4, 2, 2), "ConvTranspose2d", "Upsample"),
    (nn.LayerNorm([8, 12, 12]), "LayerNorm", "BatchNorm2d"),
    (nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), "reflect", "zeros"),
    (nn.Conv2d(8, 8, 1, padding=1), "PAD operator", "padding"),
    (nn.MaxPool2d(2, 2, 1), "PAD operator", "odd window"),
    (nn.MaxPool2d(3, 2, ceil_mode=True, return_indices=True), "return_indices", "leave"),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), "ceil_mode", "count_include_pad=False"),
    (nn.AdaptiveAvgPool2d(5), "windows of several sizes", "divides"),
    (nn.Upsample(scale_factor=1.5), "interpolation", "whole factors"),
    (nn.Upsample(scale_factor=2, mode="bilinear"), "bilinear", "nearest"),
    (nn.Softmax(2), "axis 2", "dim=1"),
    (nn.BatchNorm2d(8, track_running_stats=False), "running statistics", "track_running_stats"),
    (lambda x: x.transpose(1, 2), r"in the order \[0, 2, 1, 3\]", "only channels can be shuffled"),
    (lambda x: x.permute(0, 2, 3, 1), r"\[1, 8, 12, 12\] in the order \[0, 2, 3, 1\]", "channels last"),
    (lambda x: x.view(1, 8, 3, 4, 12).transpose(2, 3), "in the order", "only channels can be shuffled"),
    (nn.GroupNorm(2, 8), "GroupNorm", "BatchNorm2d"),
    (lambda x: torch.maximum(x, x), r"maximum\(\)", "relu"),
    (lambda x: x.mean((2, 3)).argmax(1), r"argmax\(\)", "firmware"),
    (lambda x: torch.exp(x), r"exp\(\)", "sigmoid"),
    (lambda x: F.gelu(x), r"gelu\(\)", "hardswish"),
    (lambda x: F.pad(x, (1, 1, 1, 1)), "in front of a convolution", "convolution"),
    (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "'reflect'", "zeros"),
    (lambda x: F.dropout(x, 0.5), "evaluation mode", "training=self.training"),
    (lambda x: x.clamp(-1, 1), "clamp to -1..1", "ReLU6"),
    (lambda x: x[:, ::2], "index", "step 1"),
    (lambda x: x.flatten(1), "another order", "Linear"),
    (lambda x: torch.cat([x.flatten(1), x.flatten(1)], 1), "concatenation", "flatten afterwards"),
    (lambda x: 1 / x, "constant divided", "product"),
    (lambda x: torch.add(x, x, alpha=2), "alpha", "multiply"),
    (lambda x: F.conv2d(x, x), "weights that depend", "learns"),
    (lambda x: x.view(9), "view", "batch axis"),
    (lambda x: x.relu(3, 4, 5), r"relu\(\) is called in a way", None),
    (lambda x: torch.add(x, torch.ones(5)), r"\[5\]|constant of shape", None),
    (lambda x: x.mean(0), "mean over 0", "mean"),
    (lambda x: x.shape[9], "fails", None),
    (lambda x: 3, "must return tensors", "tuple"),
]


@pytest.mark.parametrize(("part", "message", "hint"), REFUSED)
def test_what_is_not_supported_is_named_with_its_place_and_what_to_use_instead(part, message, hint):
    part = part if isinstance(part, nn.Module) else Call(part)
    net = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ModuleDict({"odd": part})["odd"])
    with pytest.raises(ExportError, match=message) as caught:
        trace(net, (1, 8, 12, 12))
    assert caught.value.where in ("1", "the network")
    assert caught.value.exit_code == 3
    if hint is not None:
        assert hint in caught.value.hint


SHUFFLED = {
    "view and transpose": lambda x: x.view(1, 2, 4, 12, 12).transpose(1, 2).reshape(1, 8, 12, 12),
    "permute": lambda x: x.reshape(1, 4, 2, 12, 12).permute(0, 2, 1, 3, 4).reshape(x.shape),
    "pixels in one axis": lambda x: x.view(1, 4, 2, 144).permute([0, 2, 1, 3]).reshape(1, 8, 12, 12),
    "module": nn.ChannelShuffle(4),
    "function": lambda x: F.channel_shuffle(x, 2),
}


@pytest.mark.parametrize("form", SHUFFLED)
def test_a_channel_shuffle_is_one_convolution(form):
    assert check(SHUFFLED[form], X[:1]) == ["CONV_2D"]


PLACES = [
    (lambda x: F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0], ["AVERAGE_POOL_2D"]),
    (lambda x: F.adaptive_avg_pool2d(x, 1)[..., 0].squeeze(-1), ["AVERAGE_POOL_2D"]),
    (lambda x: x[..., 1:, :-1], ["SLICE"]),
    (lambda x: x[:, -1].unsqueeze(1), ["SLICE"]),
    (lambda x: x * torch.sigmoid(x.mean((2, 3)))[..., None, None], ["AVERAGE_POOL_2D", "LOGISTIC", "MUL"]),
]


@pytest.mark.parametrize(("part", "ops"), PLACES)
def test_numbers_and_an_ellipsis_are_indices_too(part, ops):
    assert check(part) == ops


class Standardised(nn.Conv2d):
    """A convolution with a forward of its own: its weights are not those that the base class would use."""

    def forward(self, x):
        mean, std = self.weight.mean((1, 2, 3), keepdim=True), self.weight.std((1, 2, 3), keepdim=True)
        return F.conv2d(x, (self.weight - mean) / std, self.bias, self.stride, self.padding)


def test_a_subclass_with_a_forward_of_its_own_is_not_taken_for_its_base():
    torch.manual_seed(0)
    assert check(nn.Sequential(Standardised(8, 4, 3), nn.ReLU())) == ["CONV_2D"]


class Conditions(nn.Module):
    """Decides by shapes, behind layers too."""

    def __init__(self, by_values=False):
        super().__init__()
        self.conv, self.by_values = nn.Conv2d(8, 4, 3, 2), by_values

    def forward(self, x):
        assert x.dim() == 4, f"{x.shape}"
        y = self.conv(x)
        while y.size(2) > 2:
            y = F.max_pool2d(y, 2)
        if self.by_values and y.max() > 0:
            return -y
        return y if y.shape[1] == x.shape[1] else y * 2


def test_conditions_on_shapes_are_decided():
    torch.manual_seed(0)
    assert check(Conditions()) == ["CONV_2D", "MAX_POOL_2D", "DEPTHWISE_CONV_2D"]


UNREADABLE = [
    (Conditions(by_values=True), "cannot be traced", "not on the values"),
    (nn.DataParallel(nn.Conv2d(8, 4, 1)), "DataParallel", "network.module"),
    (nn.Sequential(nn.Conv2d(8, 4, 1).double()), "float64, not float32", r"network.float()"),
]


@pytest.mark.parametrize(("net", "message", "hint"), UNREADABLE)
def test_what_cannot_be_traced_says_why(net, message, hint):
    with pytest.raises(ExportError, match=message) as caught:
        trace(net, (1, 8, 12, 12))
    assert hint in caught.value.hint
