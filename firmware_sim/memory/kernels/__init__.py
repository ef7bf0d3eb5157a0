"""Memory that kernels ask for in Init and Prepare; one family of operators a file.

Files below `tensorflow/lite/micro/kernels` are cited without that path.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from firmware_sim.memory.kernels import context
from firmware_sim.memory.kernels.context import Kernel, Node

__all__ = ["Node", "custom_init", "prepare"]

# Importing a family registers its kernels. A report on a common model needs the first group alone.
_BUILTIN: Final = ("arrays", "convolution", "dense", "recurrent", "reduction", "resources")
_CUSTOM: Final = ("custom", "signal")
_LIBRARY: Final = {"cmsis-nn": ("cmsis_convolution", "cmsis_dense")}


def custom_init(op: str) -> Kernel | None:
    """Init of a custom operator, None if it is not known."""
    _load(_CUSTOM)
    return context.custom_init(op)


def prepare(op: str, kernels: str, *, is_custom: bool = False) -> Kernel | None:
    """Prepare of an operator; None if it asks for nothing.

    A kernel library without its own kernel uses the reference one. A custom operator never shares the kernel of a
    builtin that happens to have its name.
    """
    _load(_CUSTOM if is_custom else _BUILTIN)
    if not is_custom and kernels in _LIBRARY:
        _load(_LIBRARY[kernels])
    return context.prepare(op, kernels, is_custom=is_custom)


@cache
def _load(families: tuple[str, ...]) -> None:
    for family in families:
        import_module(f"{__name__}.{family}")
