"""A folder or file of a source, wherever it is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sapool.data import layout
from sapool.data.decode import BrokenImage

MAX_IMAGE_BYTES: Final = 64 * 2**20
"""No encoded image is larger; what claims to be is not read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A folder or file of a source.

    `read` returns a file's bytes; it is None for a folder, must be called before the next entry is asked for, and
    raises BrokenImage for a file that is too large. `done` is the share of the source read so far, 0 to 1.
    """

    path: layout.Path
    read: Callable[[], bytes] | None
    done: float


def check_size(size_bytes: int) -> None:
    """Raises BrokenImage if an encoded image is larger than any should be."""
    if size_bytes > MAX_IMAGE_BYTES:
        raise BrokenImage(f"larger than {MAX_IMAGE_BYTES // 2**20} MiB")
