"""Follows a training: measures each epoch and keeps the weights of the best one."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from firmware_sim.errors import UsageError
from sapool.training.history import EpochMetrics
from sapool.training.module import Classifier
from sapool.training.progress import FitProgress


class Recorder(Callback):
    """Collects a row an epoch; `best` is the one that did best on the validation part, `weights` what it ended with."""

    def __init__(self, progress: FitProgress) -> None:
        self.history: list[EpochMetrics] = []
        self.best: EpochMetrics | None = None
        self.weights: dict[str, torch.Tensor] = {}
        self._progress = progress
        self._images = 0
        self._rate = 0.0
        self._started = 0.0
        self._seconds = 0.0

    def state_dict(self) -> dict[str, Any]:
        """What a snapshot of the training keeps of it."""
        return {
            "history": [asdict(metrics) for metrics in self.history],
            "best": None if self.best is None else self.best.epoch,
            "weights": self.weights,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after what a snapshot kept."""
        self.history = [EpochMetrics(**row) for row in state_dict["history"]]
        self.best = next((row for row in self.history if row.epoch == state_dict["best"]), None)
        self.weights = state_dict["weights"]
        self._progress.resume(len(self.history))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._images = 0
        self._started = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        images = len(batch[1]) * trainer.world_size
        self._images += images
        self._seconds = time.perf_counter() - self._started
        self._progress.batch(images)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Classifier)
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        metrics = EpochMetrics(
            epoch=trainer.current_epoch + 1,
            learning_rate=self._rate,
            train_loss=measured["train_loss"],
            train_accuracy=measured["train_accuracy"],
            val_loss=measured["val_loss"],
            val_accuracy=measured["val_accuracy"],
            seconds=self._seconds,
            images_per_second=self._images / max(self._seconds, 1e-9),
            quantised=pl_module.quantised,
        )
        if not math.isfinite(metrics.train_loss):
            raise UsageError(
                f"the training diverged in epoch {metrics.epoch}: the loss is {metrics.train_loss}",
                hint="lower the learning rate",
            )
        self.history.append(metrics)
        if self.best is None or metrics.rank > self.best.rank:
            self.best = metrics
            self.weights = {name: value.detach().cpu().clone() for name, value in pl_module.kept.state_dict().items()}
        self._progress.epoch(metrics)
