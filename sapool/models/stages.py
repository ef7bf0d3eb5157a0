"""Where a stage shrinks its map: the pools of a network, placed by its specification."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sapool import pooling
from sapool.errors import SapoolError, UsageError
from sapool.pooling.registry import method
from sapool.spec import ModelSpec

BlockFactory = Callable[[int, int, int], nn.Module]
"""(channels in, channels out, stride) -> block."""


def stage(
    spec: ModelSpec, number: int, channels: tuple[int, int], blocks: int, size: int, make: BlockFactory
) -> nn.Sequential:
    """One stage of a network, its pool included.

    Args:
        spec: the network's specification.
        number: which stage, from 1.
        channels: channels into and out of the stage.
        blocks: how many blocks.
        size: height (= width) of the map that enters, in pixels.
        make: makes a block.

    A pool stands before the first block, after it, or at the end. A method that strides a convolution (`strided`) strides
    the first block, or the last one for "end", and adds no layer.

    Raises:
        UsageError: the method refuses its settings at this stage.
    """
    stride = int(spec.strides[number - 1])
    striding = method(spec.pooling).strides_convolution
    strided = (blocks - 1 if spec.placement == "end" else 0) if striding and stride > 1 else -1
    inner, outer = channels
    layers = [make(inner if i == 0 else outer, outer, stride if i == strided else 1) for i in range(blocks)]
    if stride > 1 and not striding:
        position = {"before": 0, "after": 1, "end": blocks}[spec.placement]
        layers.insert(position, _pool(spec, f"stage {number}", inner if position == 0 else outer, stride, size))
    return nn.Sequential(*layers)


def prepool(spec: ModelSpec) -> nn.Module:
    """The pool in place of the stem's stride: a max pool under `strided`, which has no convolution to stride here."""
    name = "max" if method(spec.pooling).strides_convolution else spec.pooling
    options = {} if name != spec.pooling else dict(spec.options)
    return _create(name, "prepool", spec.channels, spec.prepool, spec.resolution, options)


def _pool(spec: ModelSpec, where: str, channels: int, stride: int, size: int) -> nn.Module:
    return _create(spec.pooling, where, channels, stride, size, dict(spec.options))


def _create(name: str, where: str, channels: int, stride: int, size: int, options: dict[str, object]) -> nn.Module:
    try:
        return pooling.create(name, channels=channels, stride=stride, size=(size, size), **options)
    except SapoolError as error:
        raise UsageError(error.message, where=where, hint=error.hint) from error
