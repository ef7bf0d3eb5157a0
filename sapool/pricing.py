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
from typing import Final

import torch
from torch import nn

import sapool.lowering  # noqa: F401
from exporters.errors import ExportError
from exporters.graph import Graph, Quantization, Shape
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
