"""The networks that a search looks at: every combination of stride plan, placement, method, prepool, resolution, width."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from sapool import catalog
from sapool.errors import UsageError
from sapool.spec import ModelSpec

METHODS = ("strided", "max", "average", "self_attentive")
"""Methods that are searched unless others are asked for."""

PREPOOLS = (1, 2, 4)
_FACTORS = "12"  # of a stage
_OCTAVE = 2  # how far the whole shrinking of the map may be from the backbone's own, as a factor


@dataclass(frozen=True, slots=True)
class Space:
    """The axes of a search.

    Args:
        backbone: a name of `sapool.catalog.BACKBONES`.
        widths: multipliers of the channels.
        resolutions: heights (= widths) of the input, in pixels.
        methods: pooling methods, one for all stages.
        placements: where in its stage a pool stands.
        prepools: factors of the pool in front of the stem; 1 keeps the stem's stride.
        strides: stride strings, "" for those of `plans`.
        classes: number of outputs.
        channels: channels of the input.

    Raises:
        UsageError: an axis has no value, or one that no network has.
    """

    backbone: str = "mobilenet_v2"
    widths: tuple[float, ...] = (1.0,)
    resolutions: tuple[int, ...] = (128,)
    methods: tuple[str, ...] = METHODS
    placements: tuple[str, ...] = catalog.PLACEMENTS
    prepools: tuple[int, ...] = PREPOOLS
    strides: tuple[str, ...] = ()
    classes: int = 10
    channels: int = 3

    def __post_init__(self) -> None:
        catalog.known("backbone", self.backbone, catalog.BACKBONES)
        for method in self.methods:
            catalog.known("pooling method", method, catalog.POOLING)
        for placement in self.placements:
            catalog.known("placement", placement, catalog.PLACEMENTS)
        for name in ("widths", "resolutions", "methods", "placements", "prepools"):
            if not getattr(self, name):
                raise UsageError(f"the search has no {name}")

    def __len__(self) -> int:
        axes = (self.widths, self.resolutions, self.methods, self.placements, self.prepools, self.plans)
        return prod(len(axis) for axis in axes)

    @property
    def plans(self) -> tuple[str, ...]:
        """The stride strings: those asked for, else all of digits 1 and 2 that shrink the map, together with one of the
        prepools, by about as much as the backbone does."""
        if self.strides:
            return self.strides
        entry = catalog.BACKBONES[self.backbone]
        whole = entry.stem_strides[0] * prod(map(int, entry.strides))
        stems = [prepool if prepool > 1 else entry.stem_strides[0] for prepool in self.prepools]
        lowest, highest = whole / _OCTAVE / max(stems), whole * _OCTAVE / min(stems)
        digits = itertools.product(_FACTORS, repeat=len(entry.strides))
        return tuple("".join(plan) for plan in digits if lowest <= prod(map(int, plan)) <= highest)

    def families(self) -> Iterator[tuple[ModelSpec | None, ...]]:
        """The networks that differ in their width only, narrowest first; None where there is no such network."""
        widths = sorted(self.widths)
        axes = (self.resolutions, self.prepools, self.plans, self.methods, self.placements)
        for resolution, prepool, strides, method, placement in itertools.product(*axes):
            settings = (placement, prepool, resolution, self.classes, self.channels)
            try:
                yield tuple(ModelSpec(self.backbone, method, strides, width, *settings) for width in widths)
            except UsageError:  # no extent is left, or a pool does not divide its map; the width has no part in that
                yield (None,) * len(widths)
