"""Where a stage shrinks its map: the pools of a network, placed by its specification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from sapool import catalog, pooling
from sapool.models import attention
from sapool.models.parts import Part, StageParts
from sapool.settings import Option
from sapool.spec import ModelSpec, extents

BlockFactory = Callable[[int, int, int, bool], nn.Module]
"""(channels in, channels out, stride, whether the block may add its input to its output as it is) -> block."""


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


def parts(spec: ModelSpec, channels: int, plan: Sequence[tuple[int, BlockFactory]]) -> tuple[StageParts, ...]:
    """The stages of a network, pools and attention modules included.

    Args:
        spec: the network's specification.
        channels: channels of the map that enters the first stage.
        plan: for every stage its channels, and what makes its blocks.

    """
    sizes = extents(spec)
    made = []
    first = 1
    for number, (outer, make) in enumerate(plan, start=1):
        count = catalog.BACKBONES[spec.backbone].blocks[number - 1]
        made.append(_stage(spec, number, (channels, outer), range(first, first + count), sizes[number - 1], make))
        channels, first = outer, first + count
    return tuple(made)


def _stage(
    spec: ModelSpec, number: int, channels: tuple[int, int], blocks: range, size: int, make: BlockFactory
) -> StageParts:
    """One stage of a network, its pool included.

    Args:
        spec: the network's specification.
        number: which stage, from 1.
        channels: channels into and out of the stage.
        blocks: which blocks of the network, from 1.
        size: height (= width) of the map that enters, in pixels.
        make: makes a block.

    A pool stands before the first block, after it, or at the end. A method that strides a convolution (`strided`) strides
    the block that a pool would follow, or the first one for "before", and adds no layer. The first block of a stage that
    shrinks its map has no shortcut whatever the method, as published: networks then differ in their pools only.
    """
    inner, outer = channels
    stride = int(spec.strides[number - 1])
    name = spec.methods[number - 1]
    position = {"before": 0, "after": 1, "end": len(blocks)}[spec.placement]
    strides = [1] * len(blocks)
    pool = None
    if catalog.POOLING[name].strides_convolution:
        strides[max(0, position - 1)] = stride
    elif stride > 1:
        pool_channels = inner if position == 0 else outer
        pool = _pool(name, f"stage {number}", pool_channels, stride, size, spec.options_of(number))
    made: list[Part] = []
    replaced: list[int] = []
    for index, (block, block_stride) in enumerate(zip(blocks, strides, strict=True)):
        size = size // stride if pool is not None and index == position else size
        entering = inner if index == 0 else outer
        replacement = spec.replacement_of(block)
        if replacement is None:
            made.append(Part.of(make, entering, outer, block_stride, index > 0 or stride == 1))
        else:
            made.append(Part.of(attention.create, replacement, (entering, outer), block_stride, size))
            replaced.append(index)
        size = -(-size // block_stride)
    return StageParts(tuple(made), pool, position, tuple(replaced))


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
