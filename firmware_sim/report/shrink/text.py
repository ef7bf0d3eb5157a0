"""The format `text`."""

from __future__ import annotations

from firmware_sim.overlap.rules import kernel_classes, members
from firmware_sim.report.labels import printable
from firmware_sim.report.shrink import ShrinkReport
from firmware_sim.rewrite.shrink import DESCRIPTIONS, BuildUse, Shrunk


def render(report: ShrinkReport) -> str:
    """Passes, builds, proof and notes."""
    shrunk = report.shrunk
    lines = [
        printable(shrunk.before.model.path),
        f"  kernels  {shrunk.kernels}: {kernel_classes()[shrunk.kernels]}",
        f"  profile  {shrunk.before.profile.id}",
        "",
        f"  {'':<10}{'head':>11}{'total':>11}{'file':>13}{'MACs':>15}",
        _row("before", shrunk.before.arena.head_bytes, shrunk.before.arena.total_bytes, shrunk.before.model.bytes,
             sum(layer.macs for layer in shrunk.before.layers)),
        *(
            _row(use.name, use.head_bytes, use.total_bytes, use.model_bytes, use.macs) + f"  {DESCRIPTIONS[use.name]}"
            for use in shrunk.passes
        ),
        f"  saved     {_saved(shrunk)}",
        *_bound(shrunk),
        *_floor(shrunk),
        "",
        "builds",
        *(_build(build) for build in shrunk.builds),
        "",
        *(["THE INPUT CHANGES", *(f"  {line}" for line in interface(shrunk)), ""] if shrunk.inputs else []),
        "shown by",
        *(f"  {line}" for line in evidence(report)),
    ]  # fmt: skip
    if shrunk.notes:
        lines += ["", "notes", *(f"  {printable(note)}" for note in shrunk.notes)]
    return "\n".join(lines)


def interface(shrunk: Shrunk) -> list[str]:
    """What an application has to give the new file in the place of what it gave the old one; nothing if that is the same."""
    return [
        f"{printable(one.name)}, {one.type} {list(one.shape)}: give int8, round(value / scale) + zero point between -128 "
        f"and 127, scale {one.scale:.9g}, zero point {one.zero_point}"
        + (" (the uint8 less 128)" if one.type == "UINT8" else "")
        for one in shrunk.inputs
    ]


def evidence(report: ShrinkReport) -> list[str]:
    """What shows that the new file computes the same, and where it does not."""
    shrunk = report.shrunk
    if report.proof is None:
        lines = [f"not run in TFLM: {report.unproven}"]
    else:
        given = ", the old file given the values of these integers" if shrunk.inputs else ""
        lines = [f"TFLM on this machine: outputs of {report.proof.inputs} inputs are the same, byte by byte{given}"]
    lines.append(f"replay of every operator: safe with {', '.join(shrunk.libraries)}")
    unsafe = [library for library in members("any") if library not in shrunk.libraries]
    if unsafe:
        lines.append(f"WRONG OUTPUTS are possible with {', '.join(unsafe)}, and with any library that is not listed")
    return lines


def _row(name: str, head_bytes: int, total_bytes: int, model_bytes: int, macs: int) -> str:
    return f"  {name:<10}{head_bytes:>11,}{total_bytes:>11,}{model_bytes:>13,}{macs:>15,}"


def _saved(shrunk: Shrunk) -> str:
    before, after = shrunk.before.arena, shrunk.after.arena
    head, total = before.head_bytes - after.head_bytes, before.total_bytes - after.total_bytes
    return (
        f"{head:,} bytes of head ({100 * head / max(before.head_bytes, 1):.1f} %), "
        f"{total:,} of the arena ({100 * total / before.total_bytes:.1f} %)"
    )


def _bound(shrunk: Shrunk) -> list[str]:
    if shrunk.bound_bytes is None:
        return []
    where = " in the build with the largest scratch buffers" if len(shrunk.builds) > 1 else ""
    return [f"  bound     no plan of these operators and kernels has a head below {shrunk.bound_bytes:,}{where}"]


def _floor(shrunk: Shrunk) -> list[str]:
    if shrunk.floor_bytes is None:
        return []
    return [
        f"  floor     whatever the kernels and the order, {shrunk.floor_bytes:,} bytes are alive between two operators"
    ]


def _build(build: BuildUse) -> str:
    doubt = "" if build.exact else "  not exact"
    return (
        f"  {build.profile:<24}head {build.head_before_bytes:>9,} -> {build.head_after_bytes:>9,}"
        f"   total {build.total_before_bytes:>9,} -> {build.total_after_bytes:>9,}{doubt}"
    )
