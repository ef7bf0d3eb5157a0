"""Random networks of layers, functions and methods of torch, put together by chance, and what must hold of their export."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from support.nets import randomise
from torch import nn

from exporters import returned
from exporters.errors import ExportError
from exporters.parity import compare
from exporters.tflite import export
from firmware_sim import memreport, read

Shape = tuple[int, int, int]  # channels, height, width

LOWERED = 1e-4
"""Largest distance of the float graph from the module, as a share of its output's deviation."""
ROUNDED = 1e-5
"""The same of the largest value, where that is more."""
MOST_VALUES = 6000
"""Of a map."""
UNWANTED = ("QUANTIZE", "DEQUANTIZE", "PAD", "PADV2", "FULLY_CONNECTED", "TRANSPOSE")


@dataclass(frozen=True)
class Outcome:
    """`kind` is "ok", "refused", or what is wrong; `detail` says more."""

    kind: str
    detail: str = ""


class RandomNet(nn.Module):
    """A network of 3 to 12 random steps; a step reads the one before it, or now and then any other one.

    Args:
        rng: decides.
        size: height and width of its input.
    """

    def __init__(self, rng: random.Random, size: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.steps: list[tuple[str, tuple[str, ...]]] = []
        shapes: dict[str, Shape] = {"x": (3, size, size)}
        last, wanted = "x", rng.randint(3, 12)
        while len(self.steps) < wanted:
            first = last if rng.random() < 0.8 else rng.choice(list(shapes))
            others, layer = _step(rng, first, shapes)
            try:
                shape = _shape_of(layer, [shapes[name] for name in others])
            except (RuntimeError, ValueError):  # a window that is larger than its map
                continue
            if len(shape) == 3 and 0 < np.prod(shape) <= MOST_VALUES:
                last = f"layer{len(self.steps)}"
                self.layers[last] = layer
                self.steps.append((last, others))
                shapes[last] = shape
        self.head = rng.choice(HEADS)(rng, *shapes[last])

    def forward(self, x: torch.Tensor) -> Any:
        values = {"x": x}
        for name, others in self.steps:
            values[name] = self.layers[name](*[values[other] for other in others])
        return self.head(values[self.steps[-1][0]])


class Apply(nn.Module):
    """A function, as a module."""

    def __init__(self, function: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, *values: torch.Tensor) -> Any:
        return self.function(*values, *self.layers)


def checked(seed: int) -> Outcome:
    """Export a random network and hold it against its own forward, TFLM and LiteRT."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    size = rng.choice([8, 12, 15, 16, 24])
    torch.manual_seed(seed)
    net = randomise(RandomNet(rng, size), seed)
    pixels = numbers.integers(0, 256, (24, size, size, 3)).astype(np.float32)
    try:
        model = export(net, (1, 3, size, size), [pixels / 128 - 1])
    except ExportError as error:
        return Outcome("refused", str(error))
    (subgraph,) = read(model.content).subgraphs
    unwanted = [op.op for op in subgraph.operators if op.op in UNWANTED]
    types = {tensor.type for tensor in subgraph.tensors}
    if unwanted or not types <= {"INT8", "INT32"}:
        return Outcome("not integer", f"{unwanted} {types}")
    if not model.lowering_error <= LOWERED and not model.lowering_error <= _rounding(net, pixels):
        return Outcome("lowered otherwise", f"{model.lowering_error:g}")
    examples = [numbers.integers(-128, 128, (6, size, size, 3)), pixels[:4] - 128]
    parity = compare(model.content, np.concatenate(examples).astype(np.int8))
    if not parity.equal:
        return Outcome("differs", f"{parity.differing} of {parity.examples} examples")
    predicted = memreport(model.content).arena.total_bytes
    if predicted != parity.arena.total_bytes:
        return Outcome("other arena", f"{predicted} predicted, {parity.arena.total_bytes} used")
    return Outcome("ok")


def _rounding(net: nn.Module, pixels: np.ndarray) -> float:
    """What single precision may make of an output that hardly differs, or of what nearly cancels out, in its deviations."""
    x = torch.as_tensor(pixels[:4] / 128 - 1).permute(0, 3, 1, 2)
    with torch.no_grad():
        single, double = net(x), copy.deepcopy(net).double()(x.double())
    pairs = zip(returned.values(single), returned.values(double), strict=True)
    return max(float(max(ROUNDED * b.abs().max(), 10 * (a - b).abs().max()) / b.std()) for a, b in pairs)


def _shape_of(layer: nn.Module, shapes: list[Shape]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(layer.eval()(*[torch.zeros(1, *shape) for shape in shapes]).shape[1:])


# ---- steps ----------------------------------------------------------------------------------------------------------


def _step(rng: random.Random, first: str, shapes: dict[str, Shape]) -> tuple[tuple[str, ...], nn.Module]:
    """What a step reads, and the step."""
    if rng.random() < 0.2:
        c, h, w = shapes[first]
        alike = [name for name, shape in shapes.items() if shape == (c, h, w)]
        if rng.random() < 0.3:
            beside = [name for name, (_, *extents) in shapes.items() if extents == [h, w]]
            return (first, *rng.choices(beside, k=rng.choice([1, 1, 2, 3]))), Apply(lambda *v: torch.cat(v, 1))
        return (first, rng.choice(alike)), Apply(rng.choice(_OF_TWO))
    return (first,), rng.choice(_OF_ONE)(rng, *shapes[first])


def _overwritten(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    a = a * 1.5
    a += b
    return a


_OF_TWO: tuple[Callable[..., Any], ...] = (
    torch.add, torch.add, torch.mul, torch.sub, _overwritten, lambda a, b: a / (1 + b.sigmoid()),
    lambda a, b: a * b.sigmoid(), lambda a, b: F.relu(a + b), lambda a, b: F.relu6(torch.sub(a, b)),
)  # fmt: skip


def _conv(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    kernel = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (7, 7), (3, 1), (1, 5), (2, 2)])
    stride = rng.choice([1, 1, 2, (1, 2), 3])
    dilation = rng.choice([1, 1, 1, 2])
    half = tuple((extent - 1) * dilation // 2 for extent in kernel)
    padding: Any = rng.choice([0, half, half, "same" if stride == 1 else half])
    groups = rng.choice([1, 1, c, *(d for d in range(1, c + 1) if c % d == 0)])
    channels = groups * rng.choice([1, 2, 3]) if groups > 1 else rng.choice([1, 4, 7, 8, 16])
    return nn.Conv2d(c, channels, kernel, stride, padding, dilation, groups, bias=rng.random() < 0.5)


def _block(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    """A convolution with what follows it as a rule."""
    conv = _conv(rng, c, h, w)
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), *rng.choice(_BEHIND)())  # type: ignore[arg-type]


_BEHIND: tuple[Callable[[], tuple[nn.Module, ...]], ...] = (
    tuple, lambda: (nn.ReLU(True),), lambda: (nn.ReLU6(),), lambda: (nn.Hardswish(),), lambda: (nn.SiLU(),),
    lambda: (nn.LeakyReLU(0.1), nn.Dropout2d(0.2)),
)  # fmt: skip


def _activation(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    slope = rng.choice([0.01, 0.1, 0.25])
    functions: tuple[Callable[..., Any], ...] = (
        F.relu, F.relu6, F.hardswish, F.hardsigmoid, F.silu, torch.sigmoid, torch.tanh, lambda x: F.leaky_relu(x, slope),
        lambda x: x * torch.sigmoid(x), lambda x: x.clamp(0, 6), lambda x: torch.softmax(x, 1), lambda x: x.relu_(),
    )  # fmt: skip
    return Apply(rng.choice(functions))


def _pool(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    kernel, stride, padding = rng.choice([(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2), (3, 3, 0), ((2, 3), 2, 0)])
    ceil = rng.random() < 0.1
    kinds: tuple[Callable[[], nn.Module], ...] = (
        lambda: nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil),
        lambda: nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil, count_include_pad=rng.random() < 0.5),
        lambda: nn.AdaptiveAvgPool2d(rng.choice([1, 2, (h, 1), (None, 2)])),  # type: ignore[arg-type]
        lambda: nn.AdaptiveMaxPool2d(rng.choice([1, 2])),
        lambda: Apply(lambda x: x.mean((2, 3), keepdim=True)),
        lambda: Apply(lambda x: x.amax(3, keepdim=True)),
        lambda: Apply(lambda x: x.mean(1, keepdim=True)),
    )
    return rng.choice(kinds)()


def _arithmetic(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    a, b = rng.choice([2.0, -1.0, 0.5, 3]), rng.choice([0.5, 1, -2])
    functions: tuple[Callable[..., Any], ...] = (
        lambda x: x * a + b, lambda x: b - x, lambda x: x / a, lambda x: -x, lambda x: (x - b) * a, lambda x: x + x,
    )  # fmt: skip
    return rng.choice([nn.BatchNorm2d(c), Apply(rng.choice(functions))])


def _pieces(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    """Parts of a map, or its parts in another order."""
    n = max(1, c // 2)
    functions: tuple[Callable[..., Any], ...] = (
        lambda x: x[:, :n], lambda x: x[:, n:] if c > 1 else x, lambda x: x[:, :, 1:-1, 1:-1], lambda x: x[:, :, :, -2:],
        lambda x: torch.chunk(x, 2, 1)[-1], lambda x: x.split([n, c - n], 1)[0] if c > 1 else x,
        lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), lambda x: F.channel_shuffle(x, 2) if c % 2 == 0 else x,
        lambda x: F.interpolate(x, scale_factor=2), lambda x: F.interpolate(x, size=(2 * h, w)),
    )  # fmt: skip
    return Apply(rng.choice(functions))


def _gate(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    """Squeeze and excitation, in two of the ways in which it is written."""
    n = max(1, c // 2)
    if rng.random() < 0.5:
        layers = (nn.Linear(c, n), nn.Linear(n, c))
        return Apply(lambda x, down, up: x * torch.sigmoid(up(F.relu(down(x.mean((2, 3)))))).view(-1, c, 1, 1), *layers)
    squeeze = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, n, 1), nn.ReLU(), nn.Conv2d(n, c, 1), nn.Hardsigmoid()
    )
    return Apply(lambda x, squeezed: x * squeezed(x), squeeze)


_OF_ONE = (_conv, _block, _block, _block, _activation, _activation, _pool, _arithmetic, _pieces, _gate)


# ---- and what comes last --------------------------------------------------------------------------------------------


def _flat(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 5))


def _averaged(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    last = rng.choice([nn.Softmax(1), nn.LogSoftmax(1), nn.Identity(), nn.Sigmoid()])
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(c, 5), last)


def _meant(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    return Apply(lambda x, linear: linear(x.mean([2, 3])), nn.Linear(c, 5))


def _twofold(rng: random.Random, c: int, h: int, w: int) -> nn.Module:
    return Apply(lambda x, a, b: (a(x), b(x.mean((2, 3)))), nn.Conv2d(c, 4, 1), nn.Linear(c, 3))


HEADS = (lambda rng, c, h, w: nn.Identity(), _flat, _averaged, _meant, _twofold)


def outcomes(seeds: range) -> Iterator[tuple[int, Outcome]]:
    """What each seed's network gives; an exception that is no refusal is an outcome as well."""
    for seed in seeds:
        try:
            yield seed, checked(seed)
        except Exception as error:
            yield seed, Outcome("broken", f"{type(error).__name__}: {error}")
