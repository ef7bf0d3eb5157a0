"""A classifier as Lightning trains it."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.nn import functional

from sapool.data.preprocessing import to_tensor
from sapool.training.augment import augment
from sapool.training.batches import Batch, epoch_generator
from sapool.training.config import FitConfig
from sapool.training.schedule import one_cycle

# The order of the images draws from stream 0.
_AUGMENTATION_STREAM = 1
_LAYERS_STREAM = 2


class Classifier(LightningModule):
    """A network that takes pixels, with its loss, augmentation and optimiser.

    Args:
        network: takes float32 [B, C, H, W], gives logits [B, classes].
        config: the recipe.
        flip: whether mirrored images keep their label.
    """

    def __init__(self, network: nn.Module, config: FitConfig, *, flip: bool) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.flip = flip
        self._random = epoch_generator(config.seed, 0, _AUGMENTATION_STREAM)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of pixels, uint8 [B, H, W, C]."""
        logits: torch.Tensor = self.network(to_tensor(images))
        return logits

    def on_train_epoch_start(self) -> None:
        self._random = epoch_generator(self.config.seed, self.current_epoch, _AUGMENTATION_STREAM)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            # Layers such as dropout draw from torch's own generator. So does the loader, before the first batch, and
            # at another point of the first epoch than of later ones.
            torch.manual_seed(epoch_generator(self.config.seed, self.current_epoch, _LAYERS_STREAM).initial_seed())

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        images, labels = batch
        shift = round(self.config.shift * images.shape[1])
        logits = self(augment(images, self._random, shift=shift, flip=self.flip))
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        self._log("train", loss, logits, labels)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self._log("val", functional.cross_entropy(logits, labels), logits, labels)

    def _log(self, part: str, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        accuracy = (logits.argmax(1) == labels).float().mean()
        values = {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """AdamW and the learning rate of each step, as Lightning wants them."""
        weights = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in weights if p.ndim > 1], "weight_decay": self.config.weight_decay},
                {"params": [p for p in weights if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.config.learning_rate,
            fused=True,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(step, steps, self.config.warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
