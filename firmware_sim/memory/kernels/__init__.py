"""Memory that kernels ask for in Init and Prepare; one family of operators a file.

Files below `tensorflow/lite/micro/kernels` are cited without that path.
"""

from __future__ import annotations

from firmware_sim.memory.kernels import (
    arrays,
    cmsis_convolution,
    cmsis_dense,
    convolution,
    custom,
    dense,
    recurrent,
    reduction,
    resources,
    signal,
)
from firmware_sim.memory.kernels.context import Node, custom_init, prepare

__all__ = [
    "Node",
    "arrays",
    "cmsis_convolution",
    "cmsis_dense",
    "convolution",
    "custom",
    "custom_init",
    "dense",
    "prepare",
    "recurrent",
    "reduction",
    "resources",
    "signal",
]
