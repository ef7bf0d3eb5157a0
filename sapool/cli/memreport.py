"""`sapool memreport`: what a .tflite file needs in RAM and flash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from firmware_sim.report import Style, formats, render
from sapool.cli.options import colour_wanted, emit, line_width, report_options, size_option, target_file_option

if TYPE_CHECKING:
    from firmware_sim.profiles import Profile
    from firmware_sim.report.diff import Measured
    from firmware_sim.targets import Reserve, Target

_WHOLE_FILES = ("html", "svg")
_LARGEST_REPORT = 64 * 1024**2


@click.command(name="memreport")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--target", "-t", "names", multiple=True, metavar="BOARD|PROFILE",
    help="A board (see 'sapool targets') or a profile such as host64 or cortex-m-reference; may be repeated, one report "
    "each. By default host64, the build that runs on this machine.",
)  # fmt: skip
@target_file_option
@size_option("--reserve-ram", help="RAM that the application needs beside the model on a board, for example 24KiB.")
@size_option("--reserve-flash", help="Flash that the code needs beside the model file on a board, for example 200KiB.")
@click.option(
    "--diff", "other", type=click.Path(path_type=Path), metavar="OTHER",
    help="Compare instead: what grows or shrinks from MODEL to OTHER. Both may be models or JSON reports.",
)  # fmt: skip
@click.option(
    "--shrink", is_flag=True,
    help="Say what sapool shrink would save with the kernels of each target; takes up to about a second more.",
)  # fmt: skip
@report_options(formats())
def command(
    model: Path,
    names: tuple[str, ...],
    target_files: tuple[Path, ...],
    reserve_ram: int | None,
    reserve_flash: int | None,
    other: Path | None,
    shrink: bool,
    format_: str,
    output: Path | None,
) -> None:
    """Report what MODEL, a .tflite file, needs in TensorFlow Lite Micro.

    \b
    sapool memreport model.tflite
    sapool memreport model.tflite --target stm32f746 --target nrf52840
    sapool memreport model.tflite --target nrf52840 --reserve-ram 64KiB --reserve-flash 400KiB
    sapool memreport model.tflite --target-file board.json
    sapool memreport model.tflite --target stm32f746 --shrink
    sapool memreport model.tflite --target cortex-m-reference --format json -o report.json
    sapool memreport model.tflite --format html -o report.html
    sapool memreport before.tflite --diff after.tflite --format markdown

    Total, head and tail are what TFLM's recording allocator prints under these names, to the byte where the report says
    "exact". The peak layer is marked, with the tensors that are alive there.

    On a board, the arena goes into the largest block of RAM and the file into flash. What is kept free beside them, 16 KiB
    of RAM and 128 KiB of flash by default, is an assumption that every report states: a radio stack or an operating system
    needs more.

    JSON follows the schema sapool.memreport/1; with several targets it is a list of such reports. csv has a row a layer,
    markdown is for pull requests, html is one page with pictures, and svg the arena map alone; neither of these loads
    anything. Whether the model fits does not change the exit code: that is what 'sapool check' is for.
    """
    # Names first: a typing error must not cost the time of reading a large model.
    wanted = _wanted(names, target_files)
    reserve = _reserve(reserve_ram, reserve_flash, wanted, compares=other is not None)
    if other is not None:
        if shrink:
            from firmware_sim.errors import UsageError

            raise UsageError("--diff says nothing of shrinking", hint="leave --shrink out, or --diff")
        chosen = [profile.id for profile, _ in wanted]
        emit(_comparison(model, other, chosen, format_, Style(width=line_width(output))), output)
        return
    from firmware_sim import memreport, profiles, read
    from firmware_sim.errors import UsageError
    from firmware_sim.report.notes import collect

    wanted = wanted or [(profiles.get(profiles.DEFAULT), None)]
    if len(wanted) > 1 and format_ in _WHOLE_FILES:
        raise UsageError(
            f"a file in the format {format_} shows one target, not {len(wanted)}", hint="run it once for each"
        )
    content = read(model)
    style = Style(width=line_width(output), colour=colour_wanted(output))
    texts = [
        render(
            memreport(content, profile=profile, target=target, reserve=reserve),
            format_,
            notes=(
                *collect(content, target, profile=profile, reserve=reserve),
                *(_saving(model, profile, is_named=bool(names or target_files)) if shrink else ()),
            ),
            style=style,
        )
        for profile, target in wanted
    ]
    emit(_join(texts, format_), output)


def _saving(model: Path, profile: Profile, *, is_named: bool) -> list[str]:
    """For the kernels of the build; where nobody named it, for all kernels as well, as `sapool shrink` would do it."""
    from firmware_sim.overlap.rules import ANY, class_of
    from firmware_sim.reader import load
    from firmware_sim.report.shrink.saving import saving

    classes = [class_of(profile)] if is_named else [class_of(profile), ANY]
    content = load(model)
    return [saving(content, profile, kernels, name=str(model)) for kernels in classes]


def _wanted(names: Sequence[str], files: Sequence[Path]) -> list[tuple[Profile, Target | None]]:
    if not names and not files:
        return []
    from firmware_sim import profiles, targets

    own = [target for path in files for target in targets.load(path)]
    return [*map(targets.resolve, names), *((profiles.get(target.profile), target) for target in own)]


def _reserve(
    ram: int | None, flash: int | None, wanted: Sequence[tuple[Profile, Target | None]], *, compares: bool
) -> Reserve | None:
    given = {name: size for name, size in (("ram_bytes", ram), ("flash_bytes", flash)) if size is not None}
    if not given:
        return None
    from dataclasses import replace

    from firmware_sim.errors import UsageError
    from firmware_sim.targets import DEFAULT_RESERVE

    if compares or not any(target for _, target in wanted):
        reason = "--diff holds nothing against a board" if compares else "name one with --target or --target-file"
        raise UsageError("a reserve is for a board", hint=reason)
    return replace(DEFAULT_RESERVE, **given)


def _join(texts: list[str], format_: str) -> str:
    if len(texts) == 1:
        return texts[0]
    if format_ == "json":
        return "[\n" + ",\n".join(texts) + "\n]"
    if format_ == "csv":
        return texts[0] + "".join(text.partition("\n")[2] for text in texts[1:])
    return "\n\n\n".join(texts)


def _comparison(before: Path, after: Path, chosen: Sequence[str], format_: str, style: Style) -> str:
    """Compare two sides under the one profile of `chosen`, or under that of a stored side if it is empty."""
    from firmware_sim.errors import UsageError
    from firmware_sim.report import diff

    if format_ not in diff.formats():
        raise UsageError(f"--diff has no format '{format_}'", hint=f"formats: {', '.join(diff.formats())}")
    if len(chosen) > 1:
        raise UsageError(f"--diff compares for one target, not {len(chosen)}", hint="run it once for each")
    sides = [_stored(path) if path.suffix.lower() == ".json" else None for path in (before, after)]
    stored = next((side for side in sides if side is not None), None)
    profile = chosen[0] if chosen else _profile(stored.profile if stored else "host64")
    if chosen and any(side is not None and side.profile != profile for side in sides):
        raise UsageError(
            f"a report is for another profile than {profile}",
            hint="leave --target out, or compare the models themselves",
        )
    measured = [side or _measured(path, profile) for side, path in zip(sides, (before, after), strict=True)]
    return diff.render(diff.compare(*measured), format_, style=style)


def _stored(path: Path) -> Measured:
    from firmware_sim.errors import FileError
    from firmware_sim.report.diff import from_json

    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_REPORT + 1)
    except OSError as error:
        raise FileError(error.strerror or str(error), where=path) from error
    if len(content) > _LARGEST_REPORT:
        raise FileError(f"larger than {_LARGEST_REPORT:,} bytes; no report is", where=path)
    return from_json(content, str(path))


def _measured(path: Path, profile: str) -> Measured:
    from firmware_sim import memreport, read
    from firmware_sim.report.diff import from_report

    return from_report(memreport(read(path), profile=profile))


def _profile(name: str) -> str:
    from firmware_sim.targets import resolve

    return resolve(name)[0].id
