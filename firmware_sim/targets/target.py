"""What a target is: a chip on a board, its memory regions, and the TFLM build that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from firmware_sim.records import Record

Kind = Literal["sram", "tcm", "flash"]


class Region(Record):
    """One range of a target's address space.

    Attributes:
        name: as the chip's manual calls it, in lower case.
        kind: "sram", "tcm" (tightly coupled, not always reachable by DMA) or "flash" (where the model is stored).
        base: first address; None if no source states it, and then nothing is taken to touch the region.
        size_bytes: all of it, before anything else is put there.
        usable_for_arena: data memory that the processor reads and writes at full width.
        contiguous_with: names of the usable regions that begin or end where this one ends or begins; computed.
        source: what was opened and compared with the figures: OWNER/REPOSITORY@COMMIT:PATH or an address, then a remark
            in brackets; several are parted by semicolons. A target of the user's own may leave it empty.
        checked: date (ISO 8601) of that comparison.
    """

    name: str
    kind: Kind
    base: int | None
    size_bytes: int
    usable_for_arena: bool
    contiguous_with: tuple[str, ...] = ()
    source: str = ""
    checked: str = ""

    def touches(self, other: Region) -> bool:
        """One begins where the other ends."""
        if self.base is None or other.base is None:
            return False
        return self.base + self.size_bytes == other.base or other.base + other.size_bytes == self.base


class Target(Record):
    """A board. `profile` is the id of the TFLM build to account for; `notes` are limits that a reader should know.

    Attributes:
        vendor: maker of the chip; of the board where that is Arduino.
        clock_hz: highest clock that a source states; None if none was found.
        fpu: None if no source says whether the core has one.
        sources: "core" (which covers `dsp`, `mve` and `fpu`) and "clock_hz" to what was opened, written as in `Region`.
        references: vendor documents in which to look the figures up. They were not opened.
        checked: date (ISO 8601) on which the figures were compared with their sources.
    """

    id: str
    name: str
    chip: str
    vendor: str
    core: str
    clock_hz: int | None
    dsp: bool
    mve: bool
    fpu: bool | None
    profile: str
    regions: tuple[Region, ...]
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = {}
    references: tuple[str, ...] = ()
    checked: str = ""

    @property
    def blocks(self) -> tuple[tuple[Region, ...], ...]:
        """The regions usable for the arena, joined where their addresses meet; largest block first.

        An arena is one array, so it has to lie within one block.
        """
        usable = sorted((region for region in self.regions if region.usable_for_arena), key=lambda r: r.base or 0)
        blocks: list[list[Region]] = []
        for region in usable:
            if blocks and blocks[-1][-1].touches(region):
                blocks[-1].append(region)
            else:
                blocks.append([region])
        return tuple(sorted((tuple(block) for block in blocks), key=block_bytes, reverse=True))

    @property
    def arena_block_bytes(self) -> int:
        """Size of the largest block, 0 if no region is usable."""
        return max(map(block_bytes, self.blocks), default=0)

    @property
    def flash(self) -> Region | None:
        """The largest region that can hold the model, None if the target states none."""
        return max(
            (region for region in self.regions if region.kind == "flash"),
            key=lambda r: r.size_bytes,
            default=None,
        )


def block_bytes(block: tuple[Region, ...]) -> int:
    """Size of a block of contiguous regions, in bytes."""
    return sum(region.size_bytes for region in block)
