"""Files that are read with an error that says which, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from firmware_sim.errors import FileError, UsageError


def read_bytes(path: str | Path) -> bytes:
    """The content of a file that a user named.

    Raises:
        FileError: there is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=path) from error
    except ValueError as error:  # a NUL in the path
        raise FileError(f"cannot read: {error}", where=repr(str(path))) from error


def write_atomic(path: str | Path, content: bytes | str) -> Path:
    """Write `content` to `path` by way of a temporary neighbour that is renamed at the end.

    An interrupted write leaves the old file as it was. Text is written as UTF-8. Missing parent folders are made.

    Raises:
        UsageError: the place cannot be written.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A plain open keeps the mode that the user's umask asks for, which tempfile would not.
        with open(temporary, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"cannot write: {error.strerror or error}", where=path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return path
