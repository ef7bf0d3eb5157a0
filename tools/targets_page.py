"""Writes docs/targets.md: every board with its regions, and a link to what each figure was compared with.

python tools/targets_page.py
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from firmware_sim import targets
from firmware_sim.files import write_atomic
from firmware_sim.targets import Target

PAGE = Path(__file__).resolve().parents[1] / "docs" / "targets.md"
_FILE = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]+):(\S+)(.*)")
_HEAD = """# Boards

Made by `python tools/targets_page.py` from `firmware_sim/targets/data`. {count} boards; `sapool targets` lists them, and
`sapool targets BOARD` prints what is below. A board that is missing can be given with `--target-file`: see
[the memory report](memory-report.md#boards).

Each figure was compared with the file of a public repository that its link opens, at that commit. Figures for which nothing
could be opened are left out: such a clock is "?". "Look up" names vendor documents that state the figures, and which were
not opened.
"Arena" is the largest block of RAM without a gap, in which the arena has to lie; regions marked "no" never count towards it.
"""


def page() -> str:
    """The page, as it has to stand in docs."""
    every = sorted(targets.all(), key=lambda target: (target.vendor.lower(), target.id))
    parts = [_HEAD.format(count=len(every)), _table(every)]
    for vendor, boards in itertools.groupby(every, key=lambda target: target.vendor):
        parts.append(f"## {vendor}\n")
        parts.extend(map(_board, boards))
    return "\n".join(parts).rstrip("\n") + "\n"


def _table(every: list[Target]) -> str:
    lines = ["| board | vendor | core | MHz | arena | flash | profile |", "|---|---|---|--:|--:|--:|---|"]
    for target in every:
        flash = _kib(target.flash.size_bytes) if target.flash else "-"
        cells = (
            f"[{target.id}](#{target.id})", target.vendor, target.core, _mhz(target), _kib(target.arena_block_bytes), flash,
            f"`{target.profile}`",
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _board(target: Target) -> str:
    has = [name for name, there in (("DSP", target.dsp), ("Helium", target.mve), ("FPU", target.fpu)) if there]
    unknown = ["FPU not known"] if target.fpu is None else []
    lines = [
        f"### {target.id}",
        "",
        f"{target.name}; {target.chip}; {', '.join([target.core, f'{_mhz(target)} MHz', *has, *unknown])}.",
        f"Checked {target.checked}. Core: {_links(target.sources['core'])}."
        + (f" Clock: {_links(target.sources['clock_hz'])}." if target.clock_hz else ""),
        "",
        "| region | kind | base | bytes | arena | touches | compared with |",
        "|---|---|---|--:|---|---|---|",
    ]
    for region in target.regions:
        base = "" if region.base is None else f"`0x{region.base:08x}`"
        usable = "yes" if region.usable_for_arena else "no"
        touching = ", ".join(region.contiguous_with)
        cells = (region.name, region.kind, base, f"{region.size_bytes:,}", usable, touching, _links(region.source))
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [f"- {note}" for note in target.notes]
    lines += [f"- Look up: {reference}." for reference in target.references]
    return "\n".join(lines).rstrip("\n") + "\n"


def _links(source: str) -> str:
    links = []
    for part in source.split("; "):
        match = _FILE.fullmatch(part)
        if match is None:
            address, _, remark = part.partition(" ")
            links.append(f"<{address}> {remark}".strip())
            continue
        repository, commit, path, remark = match.groups()
        name = f"{repository.rpartition('/')[2]} {path.rpartition('/')[2]}"
        links.append(f"[{name}](https://github.com/{repository}/blob/{commit}/{path}){remark}".replace("|", "\\|"))
    return ", ".join(links)


def _mhz(target: Target) -> str:
    return "?" if target.clock_hz is None else f"{target.clock_hz / 1e6:g}"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.1f} KiB".replace(".0 ", " ")


if __name__ == "__main__":
    print(f"wrote {write_atomic(PAGE, page())}")
