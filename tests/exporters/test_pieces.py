"""Graphs that are put together from pieces are those that lowering the whole network gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from support.nets import randomise
from torch import nn

import sapool.lowering  # noqa: F401
from exporters.forms import Forms
from exporters.lower import Builder, Value, register
from exporters.trace import Lowering, trace
from sapool import models, spec


class Twofold(nn.Module):
    """Two convolutions, or one that does the same."""

    lowered = 0

    def __init__(self, channels=4):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.second(self.first(x))


@register(Twofold)
def twofold(module: Twofold, builder: Builder, x: Value) -> Value:
    Twofold.lowered += 1
    form = builder.choose("how", ("two", "one", "pooled"))
    first, second = (layer.weight.detach().numpy() for layer in (module.first, module.second))
    offsets = [layer.bias.detach().numpy() for layer in (module.first, module.second)]
    if form == "one":
        return builder.conv(x, np.einsum("om,mi->oi", second[..., 0, 0], first[..., 0, 0])[..., None, None], offsets[1])
    y = builder.conv(builder.conv(x, first, offsets[0]), second, offsets[1])
    return builder.pool(y, "MAX_POOL_2D", (1, 1), (1, 1)) if form == "pooled" else y


class Skip(nn.Module):
    """A layer with forms beside a connection that goes around it, and one behind."""

    def __init__(self):
        super().__init__()
        self.before, self.layer, self.behind = nn.Conv2d(3, 4, 1), Twofold(), Twofold()

    def forward(self, x):
        x = torch.relu(self.before(x))
        return self.behind(x + self.layer(x)) * torch.sigmoid(x)


class Limited(nn.Module):
    """A RELU6 that stands alone, whose constants come last in the file."""

    def __init__(self):
        super().__init__()
        self.layer, self.other = Twofold(3), Twofold(6)

    def forward(self, x):
        return self.other(nn.functional.relu6(torch.cat([x, self.layer(x)], 1)))


class Twice(nn.Module):
    """One layer, called twice."""

    def __init__(self):
        super().__init__()
        self.layer = Twofold(3)

    def forward(self, x):
        return torch.sigmoid(self.layer(torch.sigmoid(self.layer(x))))


class Ends(nn.Module):
    """Layers at the input and at the outputs, one of whose results nobody reads."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.unread = Twofold(3), Twofold(3), Twofold(3)

    def forward(self, x):
        y = self.first(x)
        self.unread(y)
        return y, self.second(y)


def shaped(*layers):
    return nn.Sequential(*layers)


APART = {
    "in a row": lambda: shaped(nn.Conv2d(3, 4, 1), nn.ReLU(), Twofold(), Twofold(), nn.Conv2d(4, 2, 1), nn.Sigmoid()),
    "beside a connection": Skip,
    "with a limit": Limited,
}
TOGETHER = {
    "merging with what follows": (lambda: shaped(nn.Conv2d(3, 4, 1), Twofold(), nn.ReLU(), Twofold()), 9 * 2),
    "merging with a normalisation": (lambda: shaped(Twofold(3), nn.BatchNorm2d(3), nn.Sigmoid(), Twofold(3)), 9 * 2),
    "called twice": (Twice, 3 * 2),
    "at the ends": (Ends, 27 * 3),
}


def alike(one, other):
    assert list(one.tensors) == list(other.tensors)
    assert (one.operators, one.inputs, one.outputs) == (other.operators, other.inputs, other.outputs)
    for mine, theirs in zip(one.tensors.values(), other.tensors.values(), strict=True):
        assert (mine.name, mine.shape, mine.dtype, mine.quantization) == (
            theirs.name, theirs.shape, theirs.dtype, theirs.quantization,
        )  # fmt: skip
        np.testing.assert_array_equal(mine.data, theirs.data)


def check_all_forms(net, shape):
    """Every combination, each compared with a lowering of its own; how many times a Twofold was lowered for them."""
    lower, first, lowered = Lowering(net, shape), Forms(), 0
    alike(lower(first), trace(net, shape))
    for names in itertools.product(*first.met.values()):
        wanted = dict(zip(first.met, names, strict=True))
        forms, before = Forms(wanted), Twofold.lowered
        joined = lower(forms)
        lowered += Twofold.lowered - before
        assert forms.met == first.met
        alike(joined, trace(net, shape, Forms(wanted)))
    return lowered


@pytest.mark.parametrize("name", APART)
def test_what_does_not_depend_on_the_forms_is_lowered_once(name):
    assert (
        check_all_forms(randomise(APART[name]()), (1, 3, 8, 8)) == 2 * 2
    )  # of each layer the forms that are not the first


@pytest.mark.parametrize("name", TOGETHER)
def test_a_network_that_does_not_fall_apart_is_lowered_anew(name):
    make, lowered = TOGETHER[name]
    assert check_all_forms(randomise(make()), (1, 3, 8, 8)) >= lowered


@pytest.mark.parametrize(
    "text",
    [
        "mobilenet_v2-self_attentive-1221121:width=0.35",
        "mobilenet_v2-self_attentive-1221121:width=0.35,window_norm=true",
        "mobilenet_v1-self_attentive-12222:width=0.25",
        "resnet18-self_attentive-1222:width=0.125,window_norm=true",
    ],
)
def test_self_attentive_networks_are_put_together(text):
    network = spec.parse(text)
    net = randomise(models.build(network)).eval()
    shape = (1, 3, network.resolution, network.resolution)
    lower, first, rng = Lowering(net, shape), Forms(), np.random.default_rng(0)
    alike(lower(first), trace(net, shape))
    for _ in range(6):
        wanted = {choice: str(rng.choice(names)) for choice, names in first.met.items()}
        alike(lower(Forms(wanted)), trace(net, shape, Forms(wanted)))
