"""The price of a network before it is trained: the same exporter and the same account as for a finished file.

No network is built for it. The parts of a network (`sapool.models.parts`) go through the exporter one by one, once for each
shape that they have; the graph is put together from what they became, and the account is of that graph. Neither the arena
nor the size of the file depends on what the weights are.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import nn

import sapool.lowering  # noqa: F401
from exporters.errors import ExportError
from exporters.forms import METADATA, Forms, choose, describe
from exporters.graph import Graph, Operator, Quantization, Shape, Tensor
from exporters.layout import file_bytes
from exporters.outline import Outline, can_fold, join, named, outline
from exporters.preview import preview
from exporters.quantize import Calibration, CalibrationRecord, calibrate
from exporters.sharing import contents, shared
from exporters.tflite import PIXELS
from firmware_sim import MemoryReport, costs, profiles
from firmware_sim.accounting import ArenaUse
from firmware_sim.memory import chain
from firmware_sim.memory.account import account, arena
from firmware_sim.model import Model
from sapool.metadata import Notes
from sapool.models import build, parts
from sapool.models.parts import NetworkParts, Part
from sapool.plans import TFLM, Plan, least_head_bytes, planned, settled
from sapool.spec import ModelSpec, parse

PROFILE: Final = "host64"

# What an export says of its calibration has the same size whatever it was calibrated with.
_CALIBRATED: Final = CalibrationRecord(**asdict(Calibration()), examples=0).encode()

# Outlines that are kept, each a few kilobytes; the widths and extents of a large search are some thousand.
_MOST_OUTLINES: Final = 20_000

# Modules that are kept while their forms are outlined: those of a network or two.
_MOST_MODULES: Final = 64

# What the tails of two parts may count twice: a tensor and its padding (TfLiteEvalTensor takes at most 24 bytes), and the
# alignment of four groups of allocations by up to 15 bytes each.
_TENSOR_BYTES: Final = 24
_SHARED_TAIL_BYTES: Final = _TENSOR_BYTES + 4 * 15

_SCALE_BYTES: Final = 4 + 8  # of a scale and its zero point in a file (schema.fbs, QuantizationParameters)


@dataclass(frozen=True, slots=True)
class Price:
    """What a network costs: trainable parameters, multiply-accumulates of one inference, arena, bytes of its int8 file, and
    multiply-accumulates that bands in the file add.

    The file is one without description and metadata unless they were given: an export of a checkpoint also holds its
    specification and the names of its classes.
    """

    parameters: int
    macs: int
    arena: ArenaUse
    model_bytes: int
    extra_macs: int = 0

    @property
    def file_macs(self) -> int:
        """Multiply-accumulates of one inference with the file: those of the network, and what bands compute twice."""
        return self.macs + self.extra_macs


def price(spec: ModelSpec, *, profile: str = PROFILE, notes: Notes | None = None, plan: Plan = TFLM) -> Price:
    """What the network of `spec` costs.

    Args:
        spec: the network.
        profile: build of TFLM that the arena is for; see `firmware_sim.profiles`.
        notes: what the file holds beside the network.
        plan: the memory plan in the file; the size of a file with one is an estimate from above.

    Raises:
        UsageError: the pooling method refuses its settings, or there is no such profile.
        ExportError: the network has no integer form.
    """
    model, parameters = _model(spec, notes or Notes(), profile)
    macs = costs.model_macs(model)
    model, use = planned(model, profiles.get(profile), _with_bands(spec, profile, plan))
    return Price(parameters, macs, use, model.size_bytes, costs.model_macs(model) - macs)


def settle(spec: ModelSpec, *, profile: str = PROFILE, plan: Plan = TFLM) -> Plan:
    """The plan with the bands that an export of `spec` gets, for it and for networks that have a few channels less."""
    return plan if plan.max_extra_macs is None else _settled(str(spec), profile, replace(plan, like=None))


@functools.lru_cache(_MOST_MODULES)
def _settled(spec: str, profile: str, plan: Plan) -> Plan:
    return settled(_model(parse(spec), Notes(), profile)[0], profiles.get(profile), plan)


def _with_bands(spec: ModelSpec, profile: str, plan: Plan) -> Plan:
    """The plan that is searched has the bands of an export: the search takes so long that it is done once for a network."""
    return settle(spec, profile=profile, plan=plan) if plan.search_s and plan.like is None else plan


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a network costs at least: no figure is above that of `Price`, and parameters are exact. `most_macs` is what its
    multiply-accumulates are at most: they depend on the forms that its layers take, and are exact where these have one."""

    parameters: int
    macs: int
    most_macs: int
    arena_bytes: int
    model_bytes: int


def bounds(spec: ModelSpec, *, profile: str = PROFILE, plan: Plan = TFLM) -> Bounds:
    """Bounds of `price` in a tenth of its time; arguments and errors are those of `price`.

    Multiply-accumulates are those of the network. Parts follow each other, so what is alive in one of them is alive in the
    network, and no plan of the head is smaller than the largest part, or the input. The tail is the sum of those of the
    parts, less what they share and what alignment may take.
    """
    forms = list(_every_form(spec))
    known = [_least(part, profile, plan) for part in forms]
    return Bounds(
        sum(part.parameters for part in known),
        sum(part.macs for part in known),
        sum(max(_costs(form, profile, plan).macs for form in part) for part in forms),
        _arena_bound(known, profile, spec.resolution**2 * spec.channels),
        sum(part.stored_bytes for part in known),
    )


def _arena_bound(known: Sequence[_Costs], profile: str, input_bytes: int) -> int:
    fixed_bytes = _fixed_tail_bytes(profile)
    tail_bytes = sum(max(0, part.tail_bytes - fixed_bytes - _SHARED_TAIL_BYTES) for part in known)
    return max(input_bytes, *(part.live_bytes for part in known)) + fixed_bytes + tail_bytes


def report(spec: ModelSpec, *, profile: str = PROFILE, notes: Notes | None = None, plan: Plan = TFLM) -> MemoryReport:
    """The whole account of the network of `spec`, layer by layer; arguments and errors are those of `price`."""
    model, _ = _model(spec, notes or Notes(), profile)
    if plan != TFLM:
        model, _ = planned(model, profiles.get(profile), _with_bands(spec, profile, plan))
    return account(model, profiles.get(profile), None)


def _model(spec: ModelSpec, notes: Notes, profile: str) -> tuple[Model, int]:
    """The file that an export would write, as if it had been read, and the parameters of the network."""
    network = parts(spec)
    usual = _outlines(spec, network, Forms())
    parameters = sum(part.parameters for _, part in usual)
    if any(can_fold(before, after) for (_, before), (_, after) in itertools.pairwise(usual)):
        module, shape = build(spec), (1, spec.resolution, spec.resolution, spec.channels)

        def lower(forms: Forms) -> _Lowered:
            whole = outline(module, shape, PIXELS, wanted=forms.wanted, inside=False)
            forms.met.update(whole.forms)
            return _Lowered((("", whole),))
    else:

        def lower(forms: Forms) -> _Lowered:
            return _Lowered(tuple(_outlines(spec, network, forms)))

    lowered, choices = choose(lower, profile, _Arena().bytes)
    graph = shared(join(lowered.parts))
    metadata = {**notes.metadata, **({METADATA: describe(choices)} if choices else {}), calibrate.METADATA: _CALIBRATED}
    return preview(
        graph, file_bytes(graph, description=notes.description, metadata=metadata), name=str(spec)
    ), parameters


@dataclass(frozen=True, slots=True)
class _Lowered:
    """A network in one combination of forms, not yet joined."""

    parts: tuple[tuple[str, Outline], ...]

    @property
    def operators(self) -> tuple[Operator, ...]:
        return tuple(operator for _, part in self.parts for operator in part.graph.operators)


class _Arena:
    """Arenas of the combinations of forms of one network.

    One that is larger than the smallest so far will not be taken, and need not be planned.
    """

    def __init__(self) -> None:
        self._smallest: int | None = None

    def bytes(self, lowered: _Lowered, profile: str) -> int:
        links = [_link(part, profile) for _, part in lowered.parts]
        repeated = _repeated(lowered.parts)
        found = chain.total_bytes(links, profiles.get(profile), most=self._smallest, repeated=repeated)
        self._smallest = found if self._smallest is None else min(self._smallest, found)
        return found


def _outlines(spec: ModelSpec, network: NetworkParts, forms: Forms) -> list[tuple[str, Outline]]:
    """Places and outlines of the parts, for the forms that are wanted; `forms` learns which choices there are."""
    shape: Shape = (1, spec.resolution, spec.resolution, spec.channels)
    quantization: Quantization | None = PIXELS
    made: list[tuple[str, Outline]] = []
    for place, part in network.ordered():
        try:
            usual = _of_part(part, shape, quantization)
        except ExportError as error:
            raise ExportError(error.message, where=f"{place} ({error.where})", hint=error.hint) from error
        taken = tuple((choice, forms.take(named(choice, place), names)) for choice, names in usual.forms.items())
        usual = _of_part(part, shape, quantization, taken) if taken else usual
        made.append((place, usual))
        shape, quantization = usual.output.shape, usual.dictated
    return [*made, ("", _of_end(network.features, spec.classes, shape, quantization))]


def _every_form(spec: ModelSpec) -> Iterator[tuple[Outline, ...]]:
    """For each part its outlines in all combinations of its forms: the export takes one of them."""
    forms = Forms()
    network = parts(spec)
    usual = _outlines(spec, network, forms)
    shape: Shape = (1, spec.resolution, spec.resolution, spec.channels)
    quantization: Quantization | None = PIXELS
    for (_, part), (_, made) in zip(network.ordered(), usual, strict=False):
        names = made.forms
        combinations = itertools.product(*names.values())
        yield tuple(
            _of_part(part, shape, quantization, tuple(zip(names, taken, strict=True))) if names else made
            for taken in combinations
        )
        shape, quantization = made.output.shape, made.dictated
    yield (usual[-1][1],)


@functools.lru_cache(_MOST_OUTLINES)
def _least(outlines: tuple[Outline, ...], profile: str, plan: Plan) -> _Costs:
    """The least of each cost over the forms of a part."""
    return _Costs(*map(min, zip(*(_costs(each, profile, plan) for each in outlines), strict=True)))


class _Costs(NamedTuple):
    """Costs of a part by itself."""

    parameters: int
    macs: int
    live_bytes: int
    tail_bytes: int
    stored_bytes: int


@functools.lru_cache(_MOST_OUTLINES)
def _costs(part: Outline, profile: str, plan: Plan = TFLM) -> _Costs:
    model = preview(part.graph, 0, name="")
    tensors = model.subgraphs[0].tensors
    use = arena(model, profiles.get(profile))
    macs = costs.model_macs(model)
    # Constants that other parts may store as well count nothing.
    own = [tensor for tensor in tensors if not part.graph.tensors[tensor.name].fixed]
    stored_bytes = sum(len(tensor.data) for tensor in own if tensor.data is not None)
    scales = sum(len(tensor.quantization.scale) for tensor in own if tensor.quantization is not None)
    stored_bytes += _SCALE_BYTES * scales
    tail_bytes = use.tail_bytes - _TENSOR_BYTES * (len(tensors) - len(own))
    live_bytes = use.lower_bound_bytes if plan == TFLM else least_head_bytes(model, profiles.get(profile), plan)
    return _Costs(part.parameters, macs, live_bytes, tail_bytes, stored_bytes)


def _repeated(made: Sequence[tuple[str, Outline]]) -> int:
    """How many constants of the parts of a network its file does not store, since it has an equal one."""
    fixed = [content for _, part in made for content in _contents(part)]
    return len(fixed) - len(set(fixed))


@functools.lru_cache(_MOST_OUTLINES)
def _contents(part: Outline) -> tuple[Hashable, ...]:
    return contents(part.graph)


@functools.lru_cache(_MOST_OUTLINES)
def _link(part: Outline, profile: str) -> chain.Link:
    return chain.part(preview(part.graph, 0, name=""), profiles.get(profile))


@functools.cache
def _fixed_tail_bytes(profile: str) -> int:
    """The tail of a network that does nothing."""
    name = "x"
    tensor = Tensor(name, (1, 1, 1, 1), "int8", quantization=PIXELS)
    empty = Graph({name: tensor}, (), (name,), (name,))
    return arena(preview(empty, 0, name=""), profiles.get(profile)).tail_bytes


@functools.lru_cache(_MOST_OUTLINES)
def _of_part(
    part: Part, shape: Shape, quantization: Quantization | None, taken: tuple[tuple[str, str], ...] = ()
) -> Outline:
    return outline(_built(part), shape, quantization, wanted=dict(taken))


@functools.lru_cache(_MOST_MODULES)
def _built(part: Part) -> nn.Module:
    """The module, which the outlines of all its forms are made of."""
    return part.build()


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
