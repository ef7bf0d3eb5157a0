"""Pairs the layers of two reports and takes differences."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from firmware_sim.report.diff.measured import LayerFigures, Measured

LAYER_FIGURES: Final = ("live_bytes", "scratch_bytes", "persistent_bytes", "macs", "weight_bytes")


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A total on both sides; None where a side does not know it."""

    name: str
    before: int | None
    after: int | None

    @property
    def change(self) -> int | None:
        """After less before, if both are known."""
        return None if self.before is None or self.after is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer on both sides, or on the one that has it."""

    before: LayerFigures | None
    after: LayerFigures | None

    @property
    def kind(self) -> Literal["same", "changed", "added", "removed"]:
        """What became of the layer.

        Names and positions do not count, nor do persistent bytes alone: the padding in them moves from layer to layer
        when another one comes or goes.
        """
        if self.before is None:
            return "added"
        if self.after is None:
            return "removed"
        return "changed" if any(self.change(name) for name in LAYER_FIGURES if name != "persistent_bytes") else "same"

    def change(self, name: str) -> int:
        """After less before of one of the `LAYER_FIGURES`; a layer that is not there counts as 0."""
        before = 0 if self.before is None else getattr(self.before, name)
        after = 0 if self.after is None else getattr(self.after, name)
        difference: int = after - before
        return difference

    @property
    def layer(self) -> LayerFigures:
        """The layer after, or before if it is gone."""
        layer = self.after or self.before
        assert layer is not None
        return layer


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one report to another. `layers` are in the order of `after`, those that are gone at the end."""

    before: Measured
    after: Measured
    figures: tuple[FigureChange, ...]
    layers: tuple[LayerChange, ...]

    def movers(self, figure: str, count: int) -> list[LayerChange]:
        """The layers of which one of the `LAYER_FIGURES` changed most, at most `count`; in the order of `after` if equal."""
        moved = [layer for layer in self.layers if layer.change(figure)]
        return sorted(moved, key=lambda layer: -abs(layer.change(figure)))[:count]

    def largest(self) -> list[LayerChange]:
        """Layers that are not the same, those first whose live bytes changed most, then MACs."""
        different = [layer for layer in self.layers if layer.kind != "same"]
        return sorted(different, key=lambda layer: (-abs(layer.change("live_bytes")), -abs(layer.change("macs"))))


def compare(before: Measured, after: Measured) -> Difference:
    """Compare two sides.

    Layers are paired by operator and name of the output, equal ones in order; what is left is paired by operator alone, in
    order, so that a network with other names is compared by its structure. The rest is added or removed.
    """
    partner: dict[int, LayerFigures] = {}
    old, new = list(before.layers), list(after.layers)
    keys: tuple[Callable[[LayerFigures], Hashable], ...] = (_by_name, _by_operator)
    for key in keys:
        old, new = _pair(old, new, key, partner)
    changes = [LayerChange(partner.get(layer.layer), layer) for layer in after.layers]
    return Difference(
        before,
        after,
        tuple(FigureChange(name, before.figures[name], after.figures[name]) for name in before.figures),
        (*changes, *(LayerChange(layer, None) for layer in old)),
    )


def _by_name(layer: LayerFigures) -> Hashable:
    return layer.op, layer.name


def _by_operator(layer: LayerFigures) -> Hashable:
    return layer.op


def _pair(
    old: Sequence[LayerFigures],
    new: Sequence[LayerFigures],
    key: Callable[[LayerFigures], Hashable],
    partner: dict[int, LayerFigures],
) -> tuple[list[LayerFigures], list[LayerFigures]]:
    """Pair what has the same key, in order; gives what is left of both."""
    waiting: defaultdict[Hashable, deque[LayerFigures]] = defaultdict(deque)
    for layer in old:
        waiting[key(layer)].append(layer)
    left = []
    for layer in new:
        if waiting[key(layer)]:
            partner[layer.layer] = waiting[key(layer)].popleft()
        else:
            left.append(layer)
    unpaired = {layer.layer for queue in waiting.values() for layer in queue}
    return [layer for layer in old if layer.layer in unpaired], left
