"""What native code writes to the file descriptors 1 and 2, as text."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

# The descriptors belong to the whole process, so only one thread at a time may turn them round.
_LOCK = threading.RLock()


class Captured:
    """Filled when the `with` block of `descriptors` ends, however it ends."""

    text: str = ""


@contextlib.contextmanager
def descriptors() -> Iterator[Captured]:
    """Catch what is written to standard output and standard error below Python's own streams.

    sys.stdout and sys.stderr cannot be replaced for this: C code writes to the descriptors. They are put back even if
    the block raises; text that Python or C had buffered before goes where it was meant to go. Output of other threads
    during the block is caught as well.
    """
    captured = Captured()
    with _LOCK, tempfile.TemporaryFile() as file:
        _flush()
        saved = [(number, _duplicate(number)) for number in (1, 2)]
        try:
            for number, _ in saved:
                os.dup2(file.fileno(), number)
            yield captured
        finally:
            _flush()
            for number, copy in saved:
                _restore(number, copy)
            file.seek(0)
            captured.text = file.read().decode("utf-8", errors="replace")


def words(log: str, error: Exception, *, limit: int = 500) -> str:
    """What a runtime said while it failed, on one line: its log, then the exception, cut at `limit` characters."""
    lines = [line.strip() for line in (*log.splitlines(), *str(error).splitlines())]
    text = "; ".join(line for line in lines if line)
    return text if len(text) <= limit else f"{text[:limit]} ..."


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A stream may be None (no console), closed, or a test's replacement.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).fflush(None)


def _duplicate(number: int) -> int | None:
    """A copy of the descriptor out of the way, or None if the process was started without it."""
    try:
        return os.dup(number)
    except OSError:
        return None


def _restore(number: int, copy: int | None) -> None:
    if copy is None:
        os.close(number)
        return
    os.dup2(copy, number)
    os.close(copy)
