"""Attention modules in the place of blocks."""

from __future__ import annotations

import importlib

from torch import nn

from sapool import catalog
from sapool.errors import SapoolError, UsageError
from sapool.replacement import Replacement


def create(replacement: Replacement, channels: tuple[int, int], stride: int, size: int) -> nn.Module:
    """The module of a replacement: [B, C, size, size] -> [B, C, size, size].

    Args:
        replacement: what stands in place of which block.
        channels: channels into and out of that block.
        stride: stride of that block.
        size: height (= width) of its map, in pixels.

    Raises:
        UsageError: the block changes the shape of its map, which an attention module keeps, or the module refuses its
            settings.
    """
    where = f"block {replacement.block}"
    inner, outer = channels
    if stride != 1 or inner != outer:
        change = f"{inner} channels become {outer}" if inner != outer else f"it has a stride of {stride}"
        raise UsageError(
            f"{replacement.module} keeps the shape of its map, this block does not: {change}",
            where=where,
            hint="replace a block with a stride of 1 and equal channels, such as one that is not the first of its stage",
        )
    entry = catalog.MODULES[replacement.module]
    layer = getattr(importlib.import_module(entry.module), entry.name)
    size_argument = ((size, size),) if entry.sized else ()
    try:
        module: nn.Module = layer(inner, *size_argument, **replacement.options)
    except SapoolError as error:
        raise UsageError(error.message, where=where, hint=error.hint) from error
    return module
