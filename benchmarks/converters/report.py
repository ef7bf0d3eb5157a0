"""What a converter tells the benchmark that started it: the last line of its output."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata


@contextmanager
def conversion(*packages: str) -> Iterator[None]:
    """Measures what happens within: processor seconds of all threads of this process and of those that it waited for.

    Imports, and reading the network and the images, belong in front of it.
    """
    before = _seconds()
    yield
    seconds = round(_seconds() - before, 3)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    print("\n" + json.dumps({"conversion_cpu_s": seconds, "versions": versions}), flush=True)


def _seconds() -> float:
    import os

    times = os.times()
    return time.process_time() + times.children_user + times.children_system
