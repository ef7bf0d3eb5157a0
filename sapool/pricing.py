"""The price of a network before it is trained: the same exporter and the same account as for a finished file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

import exporters.tflite
import sapool.lowering  # noqa: F401
from firmware_sim import memreport
from firmware_sim.accounting import ArenaUse
from firmware_sim.model import read
from sapool.models import build
from sapool.spec import ModelSpec

PROFILE: Final = "host64"


@dataclass(frozen=True, slots=True)
class Price:
    """What a network costs: trainable parameters, multiply-accumulates of one inference, arena, bytes of its int8 file."""

    parameters: int
    macs: int
    arena: ArenaUse
    model_bytes: int


def price(spec: ModelSpec, *, profile: str = PROFILE) -> Price:
    """Build, export and account for the network of `spec` with random weights.

    Neither the arena nor the size of the file depends on what the weights are.

    Args:
        spec: the network.
        profile: build of TFLM that the arena is for; see `firmware_sim.profiles`.

    Raises:
        UsageError: the pooling method refuses its settings.
        ExportError: the network has no integer form.
    """
    net = build(spec).eval()
    size = spec.resolution
    noise = np.random.default_rng(0).uniform(-1, 1, (2, size, size, spec.channels)).astype(np.float32)
    model = exporters.tflite.export(net, (1, spec.channels, size, size), [noise])
    report = memreport(read(model.content, name=str(spec)), profile=profile)
    parameters = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return Price(parameters, sum(layer.macs for layer in report.layers), report.arena, len(model.content))
