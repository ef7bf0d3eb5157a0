"""How a network is trained."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from firmware_sim.errors import UsageError

_MAX_SEED: Final = 2**63 - 1
_MACHINE: Final = ("threads", "accelerator", "devices", "nodes", "strategy")
"""Settings that say where a network is trained, not how."""
_CHOICES: Final = {
    "accelerator": ("auto", "cpu", "gpu"),
    "strategy": ("auto", "ddp"),
    "precision": ("32-true", "16-mixed", "bf16-mixed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """The recipe: AdamW, a warm-up and a cosine to zero, smoothed labels, shifted and mirrored images; and where it runs.

    Args:
        epochs: passes over the training images.
        batch_size: images a step, over all devices together.
        learning_rate: at its highest, after the warm-up.
        warm_up: share of all steps in which the learning rate rises linearly.
        schedule_from: where on that schedule, as a share of it, the training begins,
        schedule_to: and where it ends: several trainings, one after another, can share one schedule.
        weight_decay: of the weights of convolutions and matrices; biases and normalisations have none.
        label_smoothing: share of the target that is spread over all classes.
        shift: largest shift of an image, as a share of its size, in each direction.
        flip: mirror half of the images; None does where the data says that a mirrored image keeps its label.
        rand_augment: operations of RandAugment on each image (Cubuk et al., 2019); needs kornia.
        rand_augment_magnitude: their strength, 1 to 30.
        mixup: the parameter of the Beta distribution by which pairs of images are mixed (Zhang et al., 2018); 0 does not.
        ema: decay of a moving average of the weights, which then takes their place in validation and in the result.
        distillation: share of the loss that comes from a teacher's outputs (Hinton et al., 2015).
        temperature: of the outputs of teacher and student in that loss.
        attention: weight of the distance between the attention maps of teacher and student (Zagoruyko and Komodakis, 2017),
            where both have them.
        quantised_epochs: the last so many epochs compute as the int8 export will; see `sapool.training.quantisation`.
        seed: of the initial weights, the order of the images and their augmentation.
        precision: of the computation: "32-true", "16-mixed" or "bf16-mixed".
        threads: for torch on the CPU. One is the fastest wherever other programs run too (docs/decisions/0042).
        accelerator: "cpu", "gpu", or "auto" for what Lightning finds.
        devices: processes on each machine, each with its GPU, or its threads.
        nodes: machines.
        strategy: "ddp" for several processes; "auto" takes it where there are several.

    Raises:
        UsageError: a value that makes no sense.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-2
    warm_up: float = 0.2
    schedule_from: float = 0.0
    schedule_to: float = 1.0
    weight_decay: float = 0.1
    label_smoothing: float = 0.1
    shift: float = 1 / 16
    flip: bool | None = None
    rand_augment: int = 0
    rand_augment_magnitude: int = 9
    mixup: float = 0.0
    ema: float = 0.0
    distillation: float = 0.0
    temperature: float = 4.0
    attention: float = 0.0
    quantised_epochs: int = 0
    seed: int = 0
    precision: str = "32-true"
    threads: int = 1
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def recipe(self) -> dict[str, Any]:
        """The settings that say how the network is trained, wherever that is."""
        return {name: value for name, value in asdict(self).items() if name not in _MACHINE}

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return self.devices * self.nodes

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "devices", "nodes"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        # A batch of one has no variance to normalise by.
        _require(self.batch_size >= 2, "batch_size", self.batch_size, "at least 2")
        for name in ("learning_rate", "temperature"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value > 0, name, value, "positive")
        for name in ("weight_decay", "mixup", "attention"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, name, value, "not negative")
        for name in ("warm_up", "label_smoothing", "ema"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "in [0, 1)")
        ends, rule = f"{self.schedule_from} to {self.schedule_to}", "in [0, 1], and end after it begins"
        _require(0 <= self.schedule_from < self.schedule_to <= 1, "schedule", ends, rule)
        _require(0 <= self.distillation <= 1, "distillation", self.distillation, "between 0 and 1")
        _require(0 <= self.shift <= 0.5, "shift", self.shift, "between 0 and a half")
        _require(0 <= self.rand_augment <= 16, "rand_augment", self.rand_augment, "between 0 and 16")
        magnitude = self.rand_augment_magnitude
        _require(1 <= magnitude <= 30, "rand_augment_magnitude", magnitude, "between 1 and 30")
        last = self.quantised_epochs
        _require(0 <= last <= self.epochs, "quantised_epochs", last, f"between 0 and the {self.epochs} epochs")
        _require(0 <= self.seed <= _MAX_SEED, "seed", self.seed, f"between 0 and {_MAX_SEED}")
        _require(1 <= self.threads <= 1024, "threads", self.threads, "between 1 and 1024")
        for name, choices in _CHOICES.items():
            _require(getattr(self, name) in choices, name, getattr(self, name), " or ".join(choices))
        _require(
            self.batch_size % self.processes == 0 and self.batch_size >= 2 * self.processes,
            "batch_size",
            self.batch_size,
            f"a multiple of the {self.processes} processes, at least 2 for each",
        )


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise UsageError(f"{name.replace('_', ' ')} is {value}; it has to be {rule}")
