"""Files below a folder, as entries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from firmware_sim.errors import FileError
from sapool.data import layout
from sapool.data.decode import BrokenImage
from sapool.data.entry import Entry, check_size

_MAX_DEPTH: Final = 6


def entries(root: Path) -> Iterator[Entry]:
    """All folders and files below `root`, sorted by name within each folder. Links are followed.

    Raises:
        FileError: a folder or file cannot be read.
    """
    found = list(_walk(root, (), _MAX_DEPTH))
    for number, (path, is_folder) in enumerate(found, 1):
        yield Entry(path, None if is_folder else _reader(root.joinpath(*path)), number / len(found))


def _walk(folder: Path, above: layout.Path, depth: int) -> Iterator[tuple[layout.Path, bool]]:
    try:
        with os.scandir(folder) as scan:
            children = sorted((child.name, child.is_dir()) for child in scan)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=folder) from error
    for name, is_folder in children:
        if name.startswith("."):
            continue
        path = (*above, name)
        yield path, is_folder
        # The depth is bounded because a link may lead back to a folder above.
        if is_folder and depth > 1:
            yield from _walk(folder / name, path, depth - 1)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            if not path.is_file():
                raise BrokenImage("not a regular file")
            check_size(path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise BrokenImage(error.strerror or str(error)) from error

    return read
