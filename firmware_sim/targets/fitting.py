"""Whether an arena and a model file fit the memories of a target."""

from __future__ import annotations

from firmware_sim.accounting import RegionFit, TargetFit
from firmware_sim.records import Record
from firmware_sim.targets.target import Region, Target, block_bytes


class Reserve(Record):
    """Memory that the application needs beside the model.

    The defaults are assumptions for a bare-metal program and no measurement: 16 KiB of RAM for stack, heap, globals and
    the interpreter object, 128 KiB of flash for code. A radio stack or an operating system needs more.
    """

    ram_bytes: int = 16 * 1024
    flash_bytes: int = 128 * 1024


DEFAULT_RESERVE = Reserve()


def fit(target: Target, arena_bytes: int, model_bytes: int, *, reserve: Reserve = DEFAULT_RESERVE) -> TargetFit:
    """Place the arena in the largest block of contiguous RAM and the model in flash.

    The RAM reserve goes into the smallest other block that holds it, and to the end of the arena's block only if none
    does. Speed is not looked at: a slower, larger memory wins over a faster, smaller one.

    Args:
        target: where to.
        arena_bytes: size of the arena, in bytes.
        model_bytes: size of the .tflite file, in bytes.
        reserve: what the application needs besides.

    Returns:
        The verdict, with a row for each region that is used; `margin_bytes` is what is left in the arena's block,
        negative if it is too small. A target without flash of its own says nothing about the model file.
    """
    blocks = target.blocks
    arena_block = blocks[0] if blocks else ()
    others = [block for block in blocks[1:] if block_bytes(block) >= reserve.ram_bytes] if reserve.ram_bytes else []
    beside = others[-1] if others else ()
    shared = 0 if others else reserve.ram_bytes
    margin = block_bytes(arena_block) - shared - arena_bytes
    rows = [*_rows(arena_block, arena_bytes, shared), *_rows(beside, 0, reserve.ram_bytes if beside else 0)]
    flash = target.flash
    if flash is not None:
        rows.append(_row(flash, model_bytes, reserve.flash_bytes))
    return TargetFit(
        id=target.id,
        fits=margin >= 0 and all(row.fits for row in rows),
        regions=tuple(rows),
        margin_bytes=margin,
        ram_reserve_bytes=reserve.ram_bytes,
        flash_reserve_bytes=reserve.flash_bytes,
    )


def _rows(block: tuple[Region, ...], arena_bytes: int, reserved_bytes: int) -> list[RegionFit]:
    """Fill a block from its start with the arena and from its end with the reserve.

    What is too much of the reserve shows in the first region, what is too much of the arena in the last.
    """
    reserved: list[int] = []
    for region in reversed(block):
        first = region is block[0]
        reserved.insert(0, reserved_bytes if first else min(reserved_bytes, region.size_bytes))
        reserved_bytes -= reserved[0]
    rows = []
    for region, taken in zip(block, reserved, strict=True):
        last = region is block[-1]
        used = arena_bytes if last else min(arena_bytes, max(region.size_bytes - taken, 0))
        arena_bytes -= used
        rows.append(_row(region, used, taken))
    return rows


def _row(region: Region, used_bytes: int, reserved_bytes: int) -> RegionFit:
    fits = used_bytes + reserved_bytes <= region.size_bytes
    return RegionFit(region.name, region.kind, region.size_bytes, used_bytes, fits, reserved_bytes)
