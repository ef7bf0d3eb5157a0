"""Which part and class each path belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from firmware_sim.errors import FileError
from sapool.data.decode import SUFFIXES

Path = tuple[str, ...]
"""The pieces of a path below the source's root."""

WHOLE: Final = ""
"""The part of a source that is not divided into parts."""

_ALIASES: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_EXPECTED: Final = "expected class folders with images in them, or such folders below train, val and test"


@dataclass(frozen=True, slots=True)
class Layout:
    """Classes in the order of their names, and for each image its part and class."""

    classes: tuple[str, ...]
    places: dict[Path, tuple[str, str]]


def pieces(name: str) -> Path | None:
    """A path in an archive or folder, taken apart; None for what is to be ignored.

    Ignored are paths that climb out of the root, absolute ones, and what file managers leave behind (hidden files,
    `__MACOSX`).
    """
    if name.startswith("/"):
        return None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    return parts


def is_image(path: Path) -> bool:
    """Whether the ending is that of an image."""
    return PurePosixPath(path[-1]).suffix.lower() in SUFFIXES


def arrange(images: Collection[Path], folders: Collection[Path], *, where: str) -> Layout:
    """Find the parts and classes.

    Args:
        images: paths of the images that decode.
        folders: all folders, those without a usable image included.
        where: the source, for messages.

    Raises:
        FileError: no images, no class folders, an empty class, images at different depths, or parts that disagree.
    """
    if not images:
        raise FileError("holds no images that can be used", where=where, hint=_EXPECTED)
    wrapper = _wrapper(images)
    depths = {len(path) - len(wrapper): path for path in sorted(images, reverse=True)}
    if len(depths) > 1:
        examples = " and ".join("/".join(path) for _, path in sorted(depths.items())[:2])
        raise FileError(f"mixes layouts: {examples}", where=where, hint=_EXPECTED)
    (depth,) = depths
    if depth == 1:
        raise FileError("has no class folders: the images lie directly in it", where=where, hint=_EXPECTED)
    skip = len(wrapper)
    places = {path: _place(path[skip:], where) for path in sorted(images)}
    inner = {folder[skip:] for folder in folders if folder[:skip] == wrapper and len(folder) == skip + depth - 1}
    _check_no_empty_class(inner, {path[skip:-1] for path in images}, where)
    return Layout(_classes(places, where), places)


def _wrapper(images: Collection[Path]) -> Path:
    """The folders around everything: `flowers/` in flowers/train/rose/1.jpg, nothing in train/rose/1.jpg."""
    first = min(images)
    # Folders that all images share, less the one that is their class.
    common = 0
    shortest = min(len(path) for path in images)
    while common < shortest - 2 and all(path[common] == first[common] for path in images):
        if first[common].lower() in _ALIASES:
            break
        common += 1
    return first[:common]


def _place(path: Path, where: str) -> tuple[str, str]:
    part = _ALIASES.get(path[0].lower())
    if len(path) == 2:
        if part is not None:
            raise FileError(f"has no class folders in {path[0]!r}", where=where, hint=_EXPECTED)
        return WHOLE, path[0]
    if len(path) != 3 or part is None:
        raise FileError(f"{path[0]!r} in {'/'.join(path)} is no part", where=where, hint=_EXPECTED)
    return part, path[1]


def _check_no_empty_class(folders: set[Path], filled: set[Path], where: str) -> None:
    names: dict[str, str] = {}
    for folder in filled:
        if len(folder) == 2:
            part = _ALIASES[folder[0].lower()]
            if names.setdefault(part, folder[0]) != folder[0]:
                raise FileError(f"{names[part]!r} and {folder[0]!r} are both the {part} part", where=where)
    for folder in sorted(folders - filled):
        if len(folder) == 1 or folder[0].lower() in _ALIASES:
            raise FileError(
                f"class {'/'.join(folder)} has no images that can be used",
                where=where,
                hint="fill or remove its folder",
            )


def _classes(places: dict[Path, tuple[str, str]], where: str) -> tuple[str, ...]:
    by_part: dict[str, set[str]] = {}
    for part, name in places.values():
        by_part.setdefault(part, set()).add(name)
    known = by_part.get("train") or set().union(*by_part.values())
    for part, names in by_part.items():
        unknown = sorted(names - known)
        if unknown:
            raise FileError(f"class {unknown[0]!r} is in {part} but not in train", where=where)
    if len(known) < 2:
        raise FileError(f"has one class only, {next(iter(known))!r}", where=where, hint=_EXPECTED)
    return tuple(sorted(known))
