"""How many threads torch uses, and how they wait."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def let_threads_sleep() -> None:
    """Ask OpenMP for threads that sleep while they wait, unless the user asked for something; before torch is imported.

    Waiting threads that spin make torch up to ten times slower where other programs need the same cores.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within, torch computes with `count` threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
