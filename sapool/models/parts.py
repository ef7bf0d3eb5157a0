"""Parts of a network before they are built: what a network is made of can be looked at, and priced, without its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import nn

from sapool.errors import SapoolError, UsageError


@dataclass(frozen=True, slots=True)
class Part:
    """A module that can be built. Equal parts are modules of equal shape, wherever in a network they stand.

    Attributes:
        layer: makes the module.
        arguments: of the call.
        options: keyword arguments of the call, sorted by name.
        where: what to call its place in an error.
    """

    layer: Callable[..., nn.Module]
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()
    where: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, make: Callable[..., nn.Module], *arguments: Any, where: str | None = None, **options: Any) -> Part:
        """The part that `make(*arguments, **options)` builds; partial functions are taken apart, so that they compare."""
        if isinstance(make, partial):
            return cls.of(make.func, *make.args, *arguments, where=where, **{**make.keywords, **options})
        return cls(make, arguments, tuple(sorted(options.items())), where)

    def build(self) -> nn.Module:
        """The module, freshly initialised.

        Raises:
            UsageError: it refuses its settings; the place is named.
        """
        try:
            return self.layer(*self.arguments, **dict(self.options))
        except SapoolError as error:
            raise UsageError(error.message, where=error.where or self.where, hint=error.hint) from error


@dataclass(frozen=True, slots=True)
class Width:
    """Channels of a map: those that the multiplier gives it, and those that it has after pruning.

    What a network is made of follows from the first; pruning changes sizes and nothing else.
    """

    whole: int
    kept: int


@dataclass(frozen=True, slots=True)
class StageParts:
    """The parts of a stage: blocks in a row, and a pool before the block at `position` (at the end where that is the
    number of blocks). `replaced` has the positions of the blocks that are attention modules."""

    blocks: tuple[Part, ...]
    pool: Part | None
    position: int
    replaced: tuple[int, ...] = ()

    def ordered(self) -> Iterator[tuple[str, Part]]:
        """Name within the stage and part, in the order in which the map passes through them."""
        for index, block in enumerate(self.blocks):
            if self.pool is not None and index == self.position:
                yield "pool", self.pool
            yield f"blocks.{index}", block
        if self.pool is not None and self.position == len(self.blocks):
            yield "pool", self.pool


@dataclass(frozen=True, slots=True)
class NetworkParts:
    """The parts of a network.

    Attributes:
        prepool: in front of the stem, None where there is nothing.
        stem: from the input to the map of the first stage.
        stages: one after the other.
        head: between the last stage and the mean, None where there is nothing.
        features: channels of the map that the mean is taken of.
    """

    prepool: Part | None
    stem: Part
    stages: tuple[StageParts, ...]
    head: Part | None
    features: int

    def ordered(self) -> Iterator[tuple[str, Part]]:
        """Path and part, in the order in which the map passes through them; what follows the head is no part."""
        if self.prepool is not None:
            yield "prepool", self.prepool
        yield "stem", self.stem
        for number, stage in enumerate(self.stages):
            yield from ((f"stages.{number}.{name}", part) for name, part in stage.ordered())
        if self.head is not None:
            yield "head", self.head
