"""`sapool targets`: the boards that are known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from firmware_sim.targets import Target
from sapool.cli.options import emit, report_options


@click.command(name="targets")
@click.argument("ids", nargs=-1, metavar="[BOARD]...")
@report_options(["text", "json"])
def command(ids: tuple[str, ...], format_: str, output: Path | None) -> None:
    """List the known boards, or everything about each BOARD, with the source of each figure.

    \b
    sapool targets
    sapool targets stm32f746
    sapool targets --format json
    """
    from firmware_sim import targets

    chosen = [targets.get(name) for name in ids] if ids else list(targets.all())
    if format_ == "json":
        content = {"schema": "sapool.targets/1", "targets": [asdict(target) for target in chosen]}
        emit(json.dumps(content, indent=2, ensure_ascii=False), output)
    elif ids:
        emit("\n\n".join("\n".join(_details(target)) for target in chosen), output)
    else:
        emit("\n".join(_table(chosen)), output)


def _table(chosen: list[Target]) -> list[str]:
    from firmware_sim.targets.target import block_bytes

    rows = [("board", "core", "MHz", "arena block", "flash", "profile", "name")]
    for target in chosen:
        block = block_bytes(target.blocks[0]) if target.blocks else 0
        flash = target.flash.size_bytes if target.flash else 0
        rows.append(
            (
                target.id,
                target.core,
                f"{target.clock_hz / 1e6:g}",
                _kib(block),
                _kib(flash),
                target.profile,
                target.name,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {2, 3, 4}
    return [
        "  ".join(
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _details(target: Target) -> list[str]:
    features = [name for name, there in (("DSP", target.dsp), ("MVE", target.mve), ("FPU", target.fpu)) if there]
    lines = [
        f"{target.id}: {target.name}",
        f"  chip     {target.chip}, {target.vendor}",
        f"  core     {target.core} at up to {target.clock_hz / 1e6:g} MHz{''.join(', ' + name for name in features)}",
        f"           {target.sources['core']}",
        f"           {target.sources['clock_hz']}",
        f"  profile  {target.profile}",
        f"  checked  {target.checked}, with the source after the semicolon; without one, confirm it in the document",
    ]
    for region in target.regions:
        arena = ", usable for the arena" if region.usable_for_arena else ""
        touching = f", contiguous with {', '.join(region.contiguous_with)}" if region.contiguous_with else ""
        lines.append(
            f"  {region.name:<8} {region.kind}, {_kib(region.size_bytes)} at 0x{region.base:08x}{arena}{touching}"
        )
        lines.append(f"           {region.source}")
    lines += [f"  note     {note}" for note in target.notes]
    return lines


def _kib(size_bytes: int) -> str:
    return f"{size_bytes // 1024:,} KiB"
