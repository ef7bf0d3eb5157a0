"""A stage: the layers between two tensors, computed band by band; and which rows each layer handles for a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from firmware_sim.errors import InternalError
from firmware_sim.model import Operator
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.layers import Layer, layer
from firmware_sim.rewrite.draft import DraftGraph


@dataclass(frozen=True, slots=True)
class Step:
    """One layer on a band: the rows of each of its inputs in `Layer.data` that it is given, and those that it computes."""

    layer: Layer
    inputs: tuple[Rows, ...]
    output: Rows


@dataclass(frozen=True, slots=True)
class Turn:
    """What a band does.

    Attributes:
        steps: its layers.
        kept: rows of maps between the layers that the band before has left; none, unless rows stay
            (`firmware_sim.rewrite.bands.lines`).
    """

    steps: tuple[Step, ...]
    kept: Mapping[int, Rows]


Shape = tuple[tuple[int, ...], int]
"""All that tells a band from one that is only somewhere else, and where in the source it is."""


@dataclass(frozen=True)
class Stage:
    """Layers from the tensor `source` to the tensor `result`, which nothing else connects.

    `first` and `last` are positions of operators in the graph, both included; they tell stages of one graph apart. Layers
    are in the order of execution, `sizes` are the rows of each tensor.
    """

    first: int
    last: int
    source: int
    result: int
    layers: tuple[Layer, ...] = field(repr=False, hash=False, compare=False)
    sizes: dict[int, int] = field(repr=False, hash=False, compare=False)

    @cached_property
    def rows(self) -> int:
        """Rows of the result."""
        return self.sizes[self.result]

    @cached_property
    def trimmable(self) -> tuple[int, ...]:
        """Tensors that can come with wrong rows and are read by other layers: cutting these off is a choice."""
        return tuple(one.output for one in self.layers if one.is_windowed and one.output != self.result)

    @cached_property
    def late(self) -> frozenset[int]:
        """The choice of cutting wrong rows off once, behind the last layer that makes them."""
        return frozenset(self.trimmable[-1:])

    @cached_property
    def ending(self) -> tuple[frozenset[int], ...]:
        """Per layer the maps that it is the last one to read."""
        last = {index: position for position, one in enumerate(self.layers) for index in one.data}
        return tuple(
            frozenset(index for index in one.data if last[index] == position)
            for position, one in enumerate(self.layers)
        )

    def reads(self, wanted: Rows) -> Rows:
        """Rows of the source that `wanted` rows of the result are computed from."""
        return self._needs(wanted)[0][self.source]

    def _needs(self, wanted: Rows) -> tuple[dict[int, Rows], list[Rows]]:
        """Rows of each tensor that have to be right, and per layer those that it is given."""
        needs: dict[int, Rows] = {self.result: wanted}
        bands: list[Rows] = []
        for one in reversed(self.layers):
            band = one.reach.band(needs[one.output])
            bands.append(band)
            for index in one.data:
                needs[index] = band.hull(needs.get(index))
        bands.reverse()
        return needs, bands

    def steps(self, wanted: Rows, trimmed: frozenset[int], *, is_checked: bool = True) -> tuple[Step, ...]:
        """What each layer does for `wanted` rows of the result.

        Args:
            wanted: rows of the result that have to be right.
            trimmed: tensors of which the next layers get no more rows than they need. Of all others they get what is there,
                wrong rows included, where their windows allow it, which saves an operator that cuts.
            is_checked: make sure that these rows come out right; not for a mere estimate.
        """
        if (wanted, trimmed) not in self._stepped:
            self._stepped[wanted, trimmed] = self._steps(wanted, trimmed)
        steps = self._stepped[wanted, trimmed]
        if is_checked:
            self._check(steps, self._needs(wanted)[0])
        return steps

    @cached_property
    def _stepped(self) -> dict[tuple[Rows, frozenset[int]], tuple[Step, ...]]:
        """Steps, of which a search asks the same time and again."""
        return {}

    def _steps(self, wanted: Rows, trimmed: frozenset[int]) -> tuple[Step, ...]:
        _, bands = self._needs(wanted)
        there: dict[int, Rows] = {self.source: Rows(0, self.sizes[self.source])}
        steps = []
        for one, band in zip(self.layers, bands, strict=True):
            given = self._given(one, band, there, trimmed)
            output = one.reach.computed(given)
            if output is None:
                raise InternalError(f"rows {tuple(given)} of operator {one.operator.index} cannot be computed")
            there[one.output] = output
            steps.append(Step(one, (given,) * len(one.data), output))
        return tuple(steps)

    def _check(self, steps: Sequence[Step], needs: Mapping[int, Rows]) -> None:
        there: dict[int, Rows] = {self.source: Rows(0, self.sizes[self.source])}
        right = dict(there)
        for step in steps:
            one, given = step.layer, step.inputs[0]
            if not all(there[index].holds(given) for index in one.data):
                raise InternalError(f"rows {tuple(given)} of operator {one.operator.index} cannot be computed")
            good = given
            for index in one.data:
                good = good.within(right[index])
            there[one.output] = step.output
            right[one.output] = one.reach.right(given).within(one.reach.reached(good))
            if not right[one.output].holds(needs[one.output]):
                raise InternalError(f"operator {one.operator.index} would compute wrong rows for a band")

    def _given(self, one: Layer, band: Rows, there: dict[int, Rows], trimmed: frozenset[int]) -> Rows:
        if trimmed.intersection(one.data):
            return band
        found = {there[index] for index in one.data if index != self.source}
        if len(found) == 1:
            (whole,) = found
            if self.source not in one.data or there[self.source].holds(whole):
                return whole if one.reach.computed(whole) is not None else band
        return band

    def macs(self, steps: Sequence[Step]) -> int:
        """Multiply-accumulates of a band."""
        return sum(step.layer.row_macs * step.output.height for step in steps)

    @cached_property
    def turned(self) -> dict[tuple[tuple[int, ...], frozenset[int]], tuple[Turn, ...] | None]:
        """Bands with rows that stay by their heights, and by the maps whose rows do not, as far as they were asked for."""
        return {}

    @cached_property
    def shaped(self) -> dict[tuple[Rows, frozenset[int]], Shape]:
        """Shapes of bands without rows that stay, by their rows and by where wrong rows are cut off."""
        return {}

    @cached_property
    def whole_macs(self) -> int:
        """Multiply-accumulates without bands."""
        return sum(one.row_macs * self.sizes[one.output] for one in self.layers)


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where one tensor alone connects what is before with what follows.

    Attributes:
        tensors: per position of an operator the one tensor that is in use between it and the operator before it; None
            where there are several.
        layers: per operator its layer, or why it is none.
    """

    graph: DraftGraph
    tensors: tuple[int | None, ...]
    layers: tuple[Layer | str, ...]

    def stage(self, first: int, last: int) -> Stage | None:
        """The stage of the operators `first` to `last`, if it is one."""
        source, result = self.tensors[first], self.tensors[last + 1]
        layers = self.layers[first : last + 1]
        if source is None or result is None or any(isinstance(one, str) for one in layers):
            return None
        found = tuple(one for one in layers if isinstance(one, Layer))
        written = {source, *(one.output for one in found)}
        if any(index not in written for one in found for index in one.data):
            return None
        sizes = {index: self.graph.tensors[index].shape[1] for index in written}
        return Stage(first, last, source, result, found, sizes)


def cuts(graph: DraftGraph) -> Cuts:
    """The cuts of a graph: position p is in front of operator p, the last one behind all operators."""
    operators = graph.operators
    last: dict[int, int] = {}
    for position, operator in enumerate(operators):
        for index in operator.inputs:
            if index >= 0 and graph.tensors[index].data is None:
                last[index] = position
    for index in graph.outputs:
        last[index] = len(operators)
    live = set(graph.inputs)
    tensors: list[int | None] = []
    for position in range(len(operators) + 1):
        live = {index for index in live if last.get(index, -1) >= position}
        tensors.append(next(iter(live)) if len(live) == 1 else None)
        if position < len(operators):
            live.update(operators[position].outputs)
    return Cuts(graph, tuple(tensors), tuple(_layer(graph, operator) for operator in operators))


def _layer(graph: DraftGraph, operator: Operator) -> Layer | str:
    return layer(operator, graph.tensors)
