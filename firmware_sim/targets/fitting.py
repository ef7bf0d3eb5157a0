"""Whether an arena and a model file fit the memories of a target."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_sim.accounting import RegionFit, TargetFit
from firmware_sim.targets.target import Region, Target, block_bytes


@dataclass(frozen=True, slots=True)
class Reserve:
    """Memory that the application needs beside the model.

    The defaults are assumptions for a bare-metal program and no measurement: 16 KiB of RAM for stack, heap, globals and
    the interpreter object, 128 KiB of flash for code. A radio stack or an operating system needs more.
    """

    ram_bytes: int = 16 * 1024
    flash_bytes: int = 128 * 1024


DEFAULT_RESERVE = Reserve()


def fit(target: Target, arena_bytes: int, model_bytes: int, *, reserve: Reserve = DEFAULT_RESERVE) -> TargetFit:
    """Place the arena in the largest block of contiguous RAM and the model in flash.

    The RAM reserve goes into the smallest other block that holds it, and shares the arena's block only if none does.
    Speed is not looked at: a slower, larger memory wins over a faster, smaller one.

    Args:
        target: where to.
        arena_bytes: size of the arena, in bytes.
        model_bytes: size of the .tflite file, in bytes.
        reserve: what the application needs besides.

    Returns:
        The verdict; `margin_bytes` is what is left in the arena's block, negative if it is too small. A target without
        flash of its own says nothing about the model file.
    """
    blocks = target.blocks
    arena_block = blocks[0] if blocks else ()
    elsewhere = any(block_bytes(block) >= reserve.ram_bytes for block in blocks[1:])
    available = block_bytes(arena_block) - (0 if elsewhere else reserve.ram_bytes)
    margin = available - arena_bytes
    rows = _arena_rows(arena_block, arena_bytes, fits=margin >= 0)
    flash = target.flash
    if flash is not None:
        room = flash.size_bytes - reserve.flash_bytes
        rows.append(RegionFit(flash.name, flash.kind, flash.size_bytes, model_bytes, fits=model_bytes <= room))
    return TargetFit(target.id, margin >= 0 and all(row.fits for row in rows), tuple(rows), margin)


def _arena_rows(block: tuple[Region, ...], arena_bytes: int, *, fits: bool) -> list[RegionFit]:
    """Fill the regions in address order; whatever is too much shows in the last one."""
    rows = []
    left = arena_bytes
    for region in block:
        last = region is block[-1]
        used = left if last else min(left, region.size_bytes)
        left -= used
        rows.append(RegionFit(region.name, region.kind, region.size_bytes, used, fits))
    return rows
