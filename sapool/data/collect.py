"""Entries of a folder or archive become a collection of decoded images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.errors import FileError, UsageError
from sapool.data import layout
from sapool.data.dataset import Collection, Split
from sapool.data.decode import RESIZE, BrokenImage, decode, require_pillow, strict_pillow
from sapool.data.entry import Entry

Progress = Callable[[int, float], None]
"""Called with the number of images read and the share of the source read, 0 to 1."""

_REPORT_EVERY: Final = 100


def collect(
    entries: Iterable[Entry],
    *,
    name: str,
    resolution: int | None,
    channels: int,
    skip_broken: bool,
    progress: Progress | None = None,
) -> Collection:
    """Decode all images and sort them into parts and classes.

    Args:
        entries: of the source.
        name: of the source, for messages and reports.
        resolution: height and width of the images; None takes them as they are if all are squares of one size.
        channels: 3 for RGB, 1 for grey.
        skip_broken: leave out images that do not decode, instead of refusing the source.
        progress: told how far reading has come.

    Raises:
        FileError: an image does not decode, or the layout is none that is known.
        UsageError: the images do not fit into memory, or differ in size and `resolution` is None.
    """
    require_pillow()
    images: dict[layout.Path, NDArray[np.uint8]] = {}
    folders: set[layout.Path] = set()
    skipped: list[str] = []
    room = _room_bytes()
    with strict_pillow():
        for entry in entries:
            folders.update(entry.path[:end] for end in range(1, len(entry.path)))
            if entry.read is None:
                folders.add(entry.path)
                continue
            if not layout.is_image(entry.path):
                continue
            try:
                # An archive may hold a path twice; the later one counts, as if it had been unpacked.
                images[entry.path] = pixels = decode(entry.read(), resolution, channels)
            except BrokenImage as error:
                if not skip_broken:
                    raise FileError(
                        f"does not decode: {error}",
                        where=f"{name}: {'/'.join(entry.path)}",
                        hint="remove the image, or leave such images out with --skip-broken",
                    ) from error
                skipped.append(f"{'/'.join(entry.path)}: {error}")
                continue
            if resolution is None:
                resolution = _common_size(pixels, name)
            room -= pixels.nbytes
            if room < 0:
                raise UsageError(
                    f"the images do not fit into memory at {resolution}x{resolution}",
                    where=name,
                    hint="choose a smaller resolution",
                )
            if progress is not None and len(images) % _REPORT_EVERY == 0:
                progress(len(images), entry.done)
    if progress is not None:
        progress(len(images), 1.0)
    found = layout.arrange(images, folders, where=name)
    return Collection(name, found.classes, _parts(images, found, name), RESIZE, skipped=tuple(skipped))


def _parts(images: dict[layout.Path, NDArray[np.uint8]], found: layout.Layout, name: str) -> dict[str, Split]:
    # Sorted by path: a split depends on the images and the seed, not on the order of a file system.
    members: dict[str, list[layout.Path]] = {}
    for path in sorted(found.places):
        members.setdefault(found.places[path][0], []).append(path)
    numbers = {label: number for number, label in enumerate(found.classes)}
    return {
        part: Split(
            np.stack([images[path] for path in paths]),
            np.array([numbers[found.places[path][1]] for path in paths], dtype=np.int64),
            f"the {part} part of {name}" if part else name,
            tuple("/".join(path) for path in paths),
        )
        for part, paths in members.items()
    }


def _common_size(pixels: NDArray[np.uint8], name: str) -> int:
    height, width = pixels.shape[:2]
    if height != width:
        raise UsageError(f"the images are not square ({width}x{height})", where=name, hint="give a resolution")
    return int(height)


def _room_bytes() -> int:
    """Memory for decoded images: a third of the machine's, because they are held twice while they are sorted."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 3
