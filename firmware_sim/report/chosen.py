"""The module that writes a format, where each is a module of one package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from firmware_sim.errors import UsageError


def renderer(package: str, format: str, known: Sequence[str]) -> Callable[..., str]:
    """The function `render` of `package.format`.

    Raises:
        UsageError: the format is none of those that are known.
    """
    if format not in known:
        raise UsageError(f"unknown format '{format}'", hint=f"formats: {', '.join(known)}")
    found: Callable[..., str] = import_module(f"{package}.{format}").render
    return found
