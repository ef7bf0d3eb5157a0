"""Folders that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from firmware_sim.errors import UsageError
from firmware_sim.files import write_atomic


def write_folder(path: str | Path, files: Mapping[str, bytes]) -> Path:
    """Write `files` into the folder `path` by way of a neighbour that is renamed at the end.

    A folder that exists is replaced if it holds nothing but files of these names; an interrupted write leaves it as it was.

    Args:
        path: the folder.
        files: content by name.

    Raises:
        UsageError: the place cannot be written, is a file, or holds something else.
    """
    path = Path(os.path.abspath(path))
    if path.exists() and not path.is_dir():
        raise UsageError("is a file, not a folder", where=path, hint="give another place with --output")
    if path.is_dir() and (others := sorted({entry.name for entry in path.iterdir()} - files.keys())):
        raise UsageError(
            f"holds other files, such as {others[0]}, and is not replaced", where=path, hint="give a folder of its own"
        )
    mark = secrets.token_hex(4)
    new, old = path.with_name(f".{path.name}.{mark}.tmp"), path.with_name(f".{path.name}.{mark}.old")
    try:
        for name, content in files.items():
            write_atomic(new / name, content)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(new, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror or error}", where=path) from error
    finally:
        for left in (new, old):
            with contextlib.suppress(OSError):
                shutil.rmtree(left)
    return path
