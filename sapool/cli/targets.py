"""`sapool targets`: the boards that are known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from firmware_sim.errors import UsageError
from firmware_sim.targets import Target
from sapool.cli.options import emit, report_options, size_option, target_file_option


@click.command(name="targets")
@click.argument("ids", nargs=-1, metavar="[BOARD]...")
@click.option(
    "--vendor", metavar="NAME", help="Only boards of this vendor, for example Nordic; a part of the name will do."
)
@click.option(
    "--core", metavar="NAME", help="Only boards with this core, for example Cortex-M4, M33, Xtensa or RISC-V."
)
@size_option("--min-ram", help="Only boards whose arena block has this much RAM at least, for example 256KiB.")
@target_file_option
@report_options(["text", "json"])
def command(
    ids: tuple[str, ...],
    vendor: str | None,
    core: str | None,
    min_ram: int | None,
    target_files: tuple[Path, ...],
    format_: str,
    output: Path | None,
) -> None:
    """List the known boards, or everything about each BOARD, with the source of each figure.

    \b
    sapool targets
    sapool targets --core M33 --min-ram 256KiB
    sapool targets stm32f746
    sapool targets stm32f746 --format json -o board.json
    sapool targets --target-file board.json

    The arena is one array, so the table has the largest block of RAM that has no gap ("arena"), and the flash in which the
    model is stored. External RAM of a board is not counted.

    A board that is missing is a JSON file away: write one to a file as above, change it, and give it to `sapool memreport`
    with --target-file. Only id, core, profile and regions are required; of a region, name, kind and size_bytes, and its
    base where regions touch.
    """
    from firmware_sim import targets

    chosen = [targets.get(name) for name in ids]
    chosen += [target for path in target_files for target in targets.load(path)]
    everything = not chosen
    found = _filtered(chosen or targets.all(), vendor, core, min_ram)
    if format_ == "json":
        from firmware_sim.targets.files import SCHEMA

        content = {"schema": SCHEMA, "targets": [targets.record(target) for target in found]}
        emit(json.dumps(content, indent=2, ensure_ascii=False), output)
    elif everything:
        emit("\n".join(_table(found)), output)
    else:
        emit("\n\n".join("\n".join(_details(target)) for target in found), output)


def _filtered(chosen: Sequence[Target], vendor: str | None, core: str | None, min_ram: int | None) -> Sequence[Target]:
    found = chosen
    if vendor is not None:
        found = [target for target in found if vendor.strip().lower() in target.vendor.lower()]
        _some(found, "vendor", vendor, {target.vendor for target in chosen})
    if core is not None:
        wanted = core.strip().lower()
        found = [target for target in found if wanted in _names_of_core(target.core)]
        _some(found, "core", core, {target.core for target in chosen})
    if min_ram is not None:
        found = [target for target in found if target.arena_block_bytes >= min_ram]
        if not found:
            raise UsageError(f"no board is left that has {min_ram:,} bytes of RAM in one block")
    return found


def _names_of_core(core: str) -> set[str]:
    name = core.lower()
    return {name, name.partition(" ")[0], name.removeprefix("cortex-")}


def _some(found: Sequence[Target], what: str, wanted: str, there: set[str]) -> None:
    if not found:
        raise UsageError(f"no board is left with the {what} '{wanted}'", hint=f"there are: {', '.join(sorted(there))}")


def _table(found: Sequence[Target]) -> list[str]:
    """One line a board, under its vendor."""
    rows = [("board", "core", "MHz", "arena", "flash", "name")]
    vendors = [""]
    for target in sorted(found, key=lambda t: (t.vendor.lower(), t.id)):
        flash = _kib(target.flash.size_bytes) if target.flash else "-"
        rows.append((target.id, target.core, _mhz(target), _kib(target.arena_block_bytes), flash, target.name))
        vendors.append(target.vendor)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {2, 3, 4}
    lines = []
    for number, (row, vendor) in enumerate(zip(rows, vendors, strict=True)):
        if number and vendor != vendors[number - 1]:
            lines.append(vendor)
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(f"  {'  '.join(cells)}".rstrip())
    return lines


def _details(target: Target) -> list[str]:
    features = [name for name, there in (("DSP", target.dsp), ("Helium", target.mve), ("FPU", target.fpu)) if there]
    if target.fpu is None:
        features.append("FPU not known")
    lines = [
        f"{target.id}: {target.name}",
        f"  chip     {', '.join(filter(None, (target.chip, target.vendor))) or '-'}",
        f"  core     {target.core}, {_mhz(target)} MHz{''.join(', ' + name for name in features)}",
        *(f"           {source}" for source in _each_once(target.sources.values())),
        f"  profile  {target.profile}",
    ]
    if target.checked:
        lines.append(f"  checked  {target.checked}, against the sources below each figure")
    for region in target.regions:
        arena = ", usable for the arena" if region.usable_for_arena else ""
        touching = f", contiguous with {', '.join(region.contiguous_with)}" if region.contiguous_with else ""
        place = "" if region.base is None else f" at 0x{region.base:08x}"
        lines.append(f"  {region.name:<8} {region.kind}, {_kib(region.size_bytes)}{place}{arena}{touching}")
        lines += [f"           {source}" for source in filter(None, region.source.split("; "))]
    lines += [f"  note     {note}" for note in target.notes]
    lines += [f"  look up  {reference} (not opened)" for reference in target.references]
    return lines


def _each_once(sources: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(source for text in sources for source in text.split("; ") if source))


def _mhz(target: Target) -> str:
    return "?" if target.clock_hz is None else f"{target.clock_hz / 1e6:g}"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.10g} KiB" if size_bytes % 1024 == 0 else f"{size_bytes / 1024:,.1f} KiB"
