"""How a network is trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from firmware_sim.errors import UsageError

_MAX_SEED: Final = 2**63 - 1
_MACHINE: Final = ("threads", "accelerator")
"""Settings that say where a network is trained, not how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """The recipe: AdamW, a warm-up and a cosine to zero, smoothed labels, shifted and mirrored images.

    Args:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: at its highest, after the warm-up.
        warm_up: share of all steps in which the learning rate rises linearly.
        weight_decay: of the weights of convolutions and matrices; biases and normalisations have none.
        label_smoothing: share of the target that is spread over all classes.
        shift: largest shift of an image, as a share of its size, in each direction.
        seed: of the initial weights, the order of the images and their augmentation.
        threads: for torch on the CPU. One is the fastest wherever other programs run too (docs/decisions/0042).
        accelerator: "cpu", "gpu", or "auto" for what Lightning finds.

    Raises:
        UsageError: a value that makes no sense.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-2
    warm_up: float = 0.2
    weight_decay: float = 0.1
    label_smoothing: float = 0.1
    shift: float = 1 / 16
    seed: int = 0
    threads: int = 1
    accelerator: str = "auto"

    def recipe(self) -> dict[str, Any]:
        """The settings that say how the network is trained, wherever that is."""
        return {name: value for name, value in asdict(self).items() if name not in _MACHINE}

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        # A batch of one has no variance to normalise by.
        _require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        _require(
            math.isfinite(self.learning_rate) and self.learning_rate > 0,
            "learning_rate",
            self.learning_rate,
            "positive",
        )
        _require(0 <= self.warm_up < 1, "warm_up", self.warm_up, "in [0, 1)")
        _require(
            math.isfinite(self.weight_decay) and self.weight_decay >= 0,
            "weight_decay",
            self.weight_decay,
            "not negative",
        )
        _require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, "in [0, 1)")
        _require(0 <= self.shift <= 0.5, "shift", self.shift, "between 0 and a half")
        _require(0 <= self.seed <= _MAX_SEED, "seed", self.seed, f"between 0 and {_MAX_SEED}")
        _require(1 <= self.threads <= 1024, "threads", self.threads, "between 1 and 1024")
        _require(self.accelerator in ("auto", "cpu", "gpu"), "accelerator", self.accelerator, "auto, cpu or gpu")


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise UsageError(f"{name.replace('_', ' ')} is {value}; it has to be {rule}")
