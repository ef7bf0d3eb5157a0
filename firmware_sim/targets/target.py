"""What a target is: a chip on a board, its memory regions, and the TFLM build that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Region:
    """One range of a target's address space.

    Attributes:
        name: as the chip's manual calls it, in lower case.
        kind: "sram", "tcm" (tightly coupled, not always reachable by DMA) or "flash" (where the model is stored).
        base: first address.
        size_bytes: all of it, before anything else is put there.
        usable_for_arena: data memory that the processor reads and writes at full width.
        contiguous_with: names of the usable regions that begin or end where this one ends or begins.
        source: document and section that states the figures.
        checked: date (ISO 8601) on which they were compared with what the source names after a semicolon; the vendor
            document in front of it says where to look a figure up.
    """

    name: str
    kind: Literal["sram", "tcm", "flash"]
    base: int
    size_bytes: int
    usable_for_arena: bool
    contiguous_with: tuple[str, ...]
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Target:
    """A board. `profile` is the id of the TFLM build to account for; `notes` are limits that a reader should know.

    `sources` maps "core" (which covers `dsp`, `mve` and `fpu`) and "clock_hz" to the documents that state them.
    """

    id: str
    name: str
    chip: str
    vendor: str
    core: str
    clock_hz: int
    dsp: bool
    mve: bool
    fpu: bool
    profile: str
    regions: tuple[Region, ...]
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    checked: str = ""

    @property
    def blocks(self) -> tuple[tuple[Region, ...], ...]:
        """The regions usable for the arena, joined where their addresses meet; largest block first.

        An arena is one array, so it has to lie within one block.
        """
        usable = sorted((region for region in self.regions if region.usable_for_arena), key=lambda r: r.base)
        blocks: list[list[Region]] = []
        for region in usable:
            if blocks and blocks[-1][-1].base + blocks[-1][-1].size_bytes == region.base:
                blocks[-1].append(region)
            else:
                blocks.append([region])
        return tuple(sorted((tuple(block) for block in blocks), key=block_bytes, reverse=True))

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
