"""A module in evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; behind it every part of the module has the mode that it had."""
    modes = _modes(module)
    training = module.training
    changed = any(modes.values())  # a module that is ready is not gone through again, which takes its time
    if changed:
        module.eval()
    try:
        yield
    finally:
        if changed:
            module.train(training)
            for part, mode in modes.items():
                part.training = mode


def _modes(module: nn.Module) -> dict[nn.Module, bool]:
    """Whether each part is in training; `Module.modules` hands each on through all modules around it."""
    modes: dict[nn.Module, bool] = {}
    waiting = [module]
    while waiting:
        part = waiting.pop()
        if part not in modes:
            modes[part] = part.training
            waiting += part.children()
    return modes
