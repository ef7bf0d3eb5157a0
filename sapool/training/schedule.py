"""The learning rate over the steps of a training."""

from __future__ import annotations

import math


def one_cycle(step: int, steps: int, warm_up: float) -> float:
    """Factor on the highest learning rate: a linear rise, then half a cosine down to zero.

    Args:
        step: 0 for the first.
        steps: of the whole training.
        warm_up: share of the steps in which it rises.

    Source: the shape is that of Smith and Topin, "Super-Convergence" (2018), with the cosine of Loshchilov and Hutter,
    "SGDR" (2017), for the way down.
    """
    rising = warm_up * steps
    if step + 1 <= rising:
        return (step + 1) / rising
    progress = (step + 1 - rising) / max(steps + 1 - rising, 1)
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
