"""Where a stage shrinks its map: the pools of a network, placed by its specification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import nn

from sapool import catalog, pooling
from sapool.errors import UsageError
from sapool.models import attention
from sapool.models.parts import Part, StageParts, Width
from sapool.settings import Option
from sapool.spec import ModelSpec, extents

BlockFactory = Callable[..., nn.Module]


class Stage(nn.Module):
    """Blocks in a row with a pool before the block at `position` (at the end where that is the number of blocks).

    Weights have the same names whatever the pool is and wherever it stands: `blocks.0`, `blocks.1`, ..., and `pool`.
    `replaced` has the positions of the blocks that are attention modules.
    """

    def __init__(self, parts: StageParts) -> None:
        super().__init__()
        pool = None if parts.pool is None else parts.pool.build()
        self.blocks = nn.ModuleList(block.build() for block in parts.blocks)
        self.pool = pool
        self.position = parts.position
        self.replaced = parts.replaced

    @property
    def attention(self) -> list[nn.Module]:
        """The attention modules in the place of blocks."""
        return [self.blocks[index] for index in self.replaced]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index, block in enumerate(self.blocks):
            if self.pool is not None and index == self.position:
                x = self.pool(x)
            x = block(x)
        return x if self.pool is None or self.position < len(self.blocks) else self.pool(x)


class Stages(nn.Sequential):
    """The stages of a network."""

    def __iter__(self) -> Iterator[Stage]:
        return super().__iter__()  # type: ignore[return-value]


class Plan(NamedTuple):
    """A stage before it is placed.

    Attributes:
        channels: behind each of its blocks, under the network's multiplier.
        make: makes a block from channels in, channels out, stride and whether its input may be added; and, where that
            was pruned, `inner`, a tuple of its inner widths.
        inner: the inner widths of a block that was not pruned, from its channels in and out.
    """

    channels: int
    make: BlockFactory
    inner: Callable[[int, int], tuple[int, ...]]


def width(spec: ModelSpec, name: str, whole: int) -> Width:
    """A width of a network by its name in `sapool.pruned`.

    Raises:
        UsageError: pruning is said to have left more channels than there were.
    """
    kept = spec.pruned.get(name, whole)
    if kept > whole:
        raise UsageError(
            f"{name} has {whole} channels without pruning, not {kept}", where="pruned", hint="pruning only removes"
        )
    return Width(whole, kept)


def parts(spec: ModelSpec, entering: Width, plans: Sequence[Plan]) -> tuple[tuple[StageParts, ...], Width]:
    """The stages of a network, pools and attention modules included, and the width of the map behind them.

    Args:
        spec: the network's specification.
        entering: of the map that enters the first stage.
        plans: one for each stage.

    Raises:
        UsageError: widths that are added to each other differ.
    """
    sizes = extents(spec)
    made = []
    first = 1
    for number, plan in enumerate(plans, start=1):
        count = catalog.BACKBONES[spec.backbone].blocks[number - 1]
        stage, entering = _stage(spec, number, entering, range(first, first + count), sizes[number - 1], plan)
        made.append(stage)
        first += count
    return tuple(made), entering


def _stage(
    spec: ModelSpec, number: int, entering: Width, blocks: range, size: int, plan: Plan
) -> tuple[StageParts, Width]:
    """One stage of a network, its pool included, and the width of the map behind it.

    Args:
        spec: the network's specification.
        number: which stage, from 1.
        entering: width of the map that enters.
        blocks: which blocks of the network, from 1.
        size: height (= width) of the map that enters, in pixels.
        plan: its channels and what makes its blocks.

    A pool stands before the first block, after it, or at the end. A method that strides a convolution (`strided`) strides
    the block that a pool would follow, or the first one for "before", and adds no layer. The first block of a stage that
    shrinks its map has no shortcut whatever the method, as published: networks then differ in their pools only.
    """
    entry = catalog.BACKBONES[spec.backbone]
    stride = int(spec.strides[number - 1])
    name = spec.methods[number - 1]
    position = {"before": 0, "after": 1, "end": len(blocks)}[spec.placement]
    strides = [1] * len(blocks)
    options = spec.options_of(number)
    if f"p{number}" in spec.pruned and "embedding" in catalog.POOLING[name].options:
        options["embedding"] = spec.pruned[f"p{number}"]
    pool = None
    pooled = stride > 1 and not catalog.POOLING[name].strides_convolution
    if not pooled:
        strides[max(0, position - 1)] = stride
    made: list[Part] = []
    replaced: list[int] = []
    for index, (block, block_stride) in enumerate(zip(blocks, strides, strict=True)):
        if pooled and index == position:
            pool = _pool(name, f"stage {number}", entering.kept, stride, size, options)
            size //= stride
        leaving = width(spec, f"s{number}" if entry.adds else f"b{block}", plan.channels)
        replacement = spec.replacement_of(block)
        if replacement is None:
            shortcut = (index > 0 or stride == 1) and entering.whole == leaving.whole
            made.append(_block(spec, plan, block, (entering, leaving), block_stride, shortcut))
        else:
            made.append(Part.of(attention.create, replacement, (entering.kept, leaving.kept), block_stride, size))
            replaced.append(index)
        size = -(-size // block_stride)
        entering = leaving
    if pooled and position == len(blocks):
        pool = _pool(name, f"stage {number}", entering.kept, stride, size, options)
    return StageParts(tuple(made), pool, position, tuple(replaced)), entering


def _block(spec: ModelSpec, plan: Plan, block: int, channels: tuple[Width, Width], stride: int, shortcut: bool) -> Part:
    entering, leaving = channels
    entry = catalog.BACKBONES[spec.backbone]
    if shortcut and stride == 1 and entry.adds and entering.kept != leaving.kept:
        raise UsageError(
            f"block {block} adds {entering.kept} channels to {leaving.kept}", where="pruned", hint="prune both alike"
        )
    suffixes = entry.inner if entry.adds else ()
    wholes = plan.inner(entering.whole, leaving.whole)
    inner = tuple(width(spec, f"b{block}{suffix}", whole).kept for suffix, whole in zip(suffixes, wholes, strict=False))
    arguments = (entering.kept, leaving.kept, stride, shortcut)
    if inner == plan.inner(entering.kept, leaving.kept):
        return Part.of(plan.make, *arguments)
    return Part.of(plan.make, *arguments, inner=inner)


def prepool(spec: ModelSpec) -> Part | None:
    """The pool of the input that takes the place of the stem's stride, if there is one.

    It has the method and settings of the first stage. Under `strided` it is a max pool: a 3x3 stem with a stride of 4 or
    more would skip pixels.
    """
    if spec.prepool == 1:
        return None
    name, options = spec.methods[0], spec.options_of(1)
    if catalog.POOLING[name].strides_convolution:
        name, options = "max", {}
    return _pool(name, "prepool", spec.channels, spec.prepool, spec.resolution, options)


def _pool(name: str, where: str, channels: int, stride: int, size: int, options: dict[str, Option]) -> Part:
    return Part.of(pooling.create, name, where=where, channels=channels, stride=stride, size=(size, size), **options)
