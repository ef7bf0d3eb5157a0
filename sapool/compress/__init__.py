"""Networks made to fit: a search over early downsampling, and channel pruning, both driven by the arena in TFLM."""

from __future__ import annotations

import importlib.util

from sapool.errors import UsageError


def require() -> None:
    """See that pruning can begin.

    Raises:
        UsageError: torch-pruning is not installed.
    """
    if importlib.util.find_spec("torch_pruning") is None:
        raise UsageError("pruning needs the package torch-pruning", hint="pip install 'sapool[train]'")
