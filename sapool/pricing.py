"""The price of a network before it is trained: the same exporter and the same account as for a finished file.

No network is built for it. The parts of a network (`sapool.models.parts`) go through the exporter one by one, once for each
shape that they have; the graph is put together from what they became, and the account is of that graph. Neither the arena
nor the size of the file depends on what the weights are.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import nn

import sapool.lowering  # noqa: F401
from exporters.errors import ExportError
from exporters.graph import Graph, Quantization, Shape, Tensor
from exporters.layout import file_bytes
from exporters.outline import Outline, can_fold, join, outline
from exporters.preview import preview
from exporters.tflite import PIXELS
from firmware_sim import MemoryReport, costs, profiles
from firmware_sim.accounting import ArenaUse
from firmware_sim.memory.account import account, arena
from firmware_sim.model import Model
from sapool.metadata import Notes
from sapool.models import build, parts
from sapool.models.parts import Part
from sapool.spec import ModelSpec

PROFILE: Final = "host64"

# Outlines that are kept, each a few kilobytes; the widths and extents of a large search are some thousand.
_MOST_OUTLINES: Final = 20_000

# What the tails of two parts may count twice: a tensor and its padding (TfLiteEvalTensor takes at most 24 bytes), and the
# alignment of four groups of allocations by up to 15 bytes each.
_SHARED_TAIL_BYTES: Final = 24 + 4 * 15

_SCALE_BYTES: Final = 4 + 8  # of a scale and its zero point in a file (schema.fbs, QuantizationParameters)


@dataclass(frozen=True, slots=True)
class Price:
    """What a network costs: trainable parameters, multiply-accumulates of one inference, arena, bytes of its int8 file.

    The file is one without description and metadata unless they were given: an export of a checkpoint also holds its
    specification and the names of its classes.
    """

    parameters: int
    macs: int
    arena: ArenaUse
    model_bytes: int


def price(spec: ModelSpec, *, profile: str = PROFILE, notes: Notes | None = None) -> Price:
    """What the network of `spec` costs.

    Args:
        spec: the network.
        profile: build of TFLM that the arena is for; see `firmware_sim.profiles`.
        notes: what the file holds beside the network.

    Raises:
        UsageError: the pooling method refuses its settings, or there is no such profile.
        ExportError: the network has no integer form.
    """
    model, parameters = _model(spec, notes or Notes())
    subgraph = model.subgraphs[0]
    macs = sum(costs.macs(operator, subgraph.tensors) for operator in subgraph.operators)
    return Price(parameters, macs, arena(model, profiles.get(profile)), model.size_bytes)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a network costs at least: parameters and multiply-accumulates are exact, the bytes are no more than those of
    `Price`."""

    parameters: int
    macs: int
    arena_bytes: int
    model_bytes: int


def bounds(spec: ModelSpec, *, profile: str = PROFILE) -> Bounds:
    """Bounds of `price` in a tenth of its time; arguments and errors are those of `price`.

    Parts follow each other, so what is alive in one of them is alive in the network, and no plan of the head is smaller
    than the largest part. The tail is the sum of those of the parts, less what they share and what alignment may take.
    """
    known = [_costs(part, profile) for _, part in _outlines(spec)]
    fixed_bytes = _fixed_tail_bytes(profile)
    tail_bytes = sum(max(0, part.tail_bytes - fixed_bytes - _SHARED_TAIL_BYTES) for part in known)
    return Bounds(
        sum(part.parameters for part in known),
        sum(part.macs for part in known),
        max(part.live_bytes for part in known) + fixed_bytes + tail_bytes,
        sum(part.stored_bytes for part in known),
    )


def report(spec: ModelSpec, *, profile: str = PROFILE, notes: Notes | None = None) -> MemoryReport:
    """The whole account of the network of `spec`, layer by layer; arguments and errors are those of `price`."""
    return account(_model(spec, notes or Notes())[0], profiles.get(profile), None)


def _model(spec: ModelSpec, notes: Notes) -> tuple[Model, int]:
    """The file that an export would write, as if it had been read, and the parameters of the network."""
    graph, parameters = _graph(spec)
    size_bytes = file_bytes(graph, description=notes.description, metadata=notes.metadata)
    return preview(graph, size_bytes, name=str(spec)), parameters


def _graph(spec: ModelSpec) -> tuple[Graph, int]:
    outlines = list(_outlines(spec))
    following = itertools.pairwise(outlines)
    if any(can_fold(before, after) for (_, before), (_, after) in following):
        shape = (1, spec.resolution, spec.resolution, spec.channels)
        outlines = [("", outline(build(spec), shape, PIXELS, inside=False))]
    return join(outlines), sum(part.parameters for _, part in outlines)


def _outlines(spec: ModelSpec) -> Iterator[tuple[str, Outline]]:
    shape: Shape = (1, spec.resolution, spec.resolution, spec.channels)
    quantization: Quantization | None = PIXELS
    network = parts(spec)
    for place, part in network.ordered():
        try:
            made = _of_part(part, shape, quantization)
        except ExportError as error:
            raise ExportError(error.message, where=f"{place} ({error.where})", hint=error.hint) from error
        yield place, made
        shape, quantization = made.output.shape, made.dictated
    yield "", _of_end(network.features, spec.classes, shape, quantization)


class _Costs(NamedTuple):
    """Costs of a part by itself."""

    parameters: int
    macs: int
    live_bytes: int
    tail_bytes: int
    stored_bytes: int


@functools.lru_cache(_MOST_OUTLINES)
def _costs(part: Outline, profile: str) -> _Costs:
    model = preview(part.graph, 0, name="")
    tensors = model.subgraphs[0].tensors
    use = arena(model, profiles.get(profile))
    macs = sum(costs.macs(operator, tensors) for operator in model.subgraphs[0].operators)
    stored_bytes = sum(len(tensor.data) for tensor in tensors if tensor.data is not None)
    scales = sum(len(tensor.quantization.scale) for tensor in tensors if tensor.quantization is not None)
    stored_bytes += _SCALE_BYTES * scales
    return _Costs(part.parameters, macs, use.lower_bound_bytes, use.tail_bytes, stored_bytes)


@functools.cache
def _fixed_tail_bytes(profile: str) -> int:
    """The tail of a network that does nothing."""
    name = "x"
    tensor = Tensor(name, (1, 1, 1, 1), "int8", quantization=PIXELS)
    empty = Graph({name: tensor}, (), (name,), (name,))
    return arena(preview(empty, 0, name=""), profiles.get(profile)).tail_bytes


@functools.lru_cache(_MOST_OUTLINES)
def _of_part(part: Part, shape: Shape, quantization: Quantization | None) -> Outline:
    return outline(part.build(), shape, quantization)


@functools.lru_cache(_MOST_OUTLINES)
def _of_end(features: int, classes: int, shape: Shape, quantization: Quantization | None) -> Outline:
    return outline(_End(features, classes), shape, quantization, inside=False)


class _End(nn.Module):
    """What follows the head of a `sapool.models.network.Network`: mean over the map and classifier."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(features, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.classifier(self.pool(x).flatten(1))
        return y
