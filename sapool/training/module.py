"""A classifier as Lightning trains it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sapool.data.preprocessing import to_tensor
from sapool.training import ranks
from sapool.training.augment import augment, mixup, rand_augment
from sapool.training.averaging import Average
from sapool.training.batches import Batch, epoch_generator
from sapool.training.config import FitConfig
from sapool.training.distillation import AttentionMaps, Teacher, attention_losses, output_loss
from sapool.training.quantisation import Simulation, simulation
from sapool.training.schedule import one_cycle

# The order of the images draws from stream 0, layers of the first process from 2, of the second from 3, and so on.
_AUGMENTATION_STREAM = 1
_LAYERS_STREAM = 2


class Classifier(LightningModule):
    """A network that takes pixels, with its loss, augmentation and optimiser.

    Args:
        network: takes float32 [B, C, H, W], gives logits [B, classes].
        config: the recipe.
        flip: whether mirrored images keep their label.
        teacher: a network to learn from, as far as the recipe says.
        calibration: images that the ranges of quantised epochs are observed on, uint8 [N, H, W, C].
    """

    def __init__(
        self, network: nn.Module, config: FitConfig, *, flip: bool, teacher: Teacher | None = None,
        calibration: NDArray[np.uint8] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.network = network
        self.config = config
        self._calibration = calibration
        self._simulation: Simulation | None = None
        self.flip = flip if config.flip is None else config.flip
        self._random = epoch_generator(config.seed, 0, _AUGMENTATION_STREAM)
        self._average = Average(network, config.ema) if config.ema else None
        # As a part of this one its weights are in every snapshot.
        self.averaged = None if self._average is None else self._average.network
        self._rand_augment = (
            rand_augment(config.rand_augment, config.rand_augment_magnitude) if config.rand_augment else None
        )
        # In a tuple it is no part of this module: it is neither trained nor stored.
        self._teacher = () if teacher is None else ((teacher.network.eval(), AttentionMaps(teacher.network)),)
        # Nobody asks for the student's maps where there is no teacher.
        self._maps = AttentionMaps(network if self._teacher else nn.Module())

    @property
    def kept(self) -> nn.Module:
        """The network that is validated and kept: the averaged one, if there is one."""
        return self.network if self.averaged is None else self.averaged

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B, classes] of pixels, uint8 [B, H, W, C]."""
        return self._computed(self.kept, to_tensor(images))

    @property
    def quantised(self) -> bool:
        """Whether this epoch computes as the int8 export will."""
        return self.current_epoch >= self.config.epochs - self.config.quantised_epochs

    def _computed(self, network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        if self._simulation is not None:
            return self._simulation(network, inputs)
        logits: torch.Tensor = network(inputs)
        return logits

    def _simulate(self, network: nn.Module) -> None:
        """Observe the ranges of `network` as it is now; from here on it is computed with them."""
        assert self._calibration is not None
        self._simulation = simulation(network, self._calibration)

    def on_fit_start(self) -> None:
        for teacher, _ in self._teacher:
            teacher.to(self.device)

    def on_train_epoch_start(self) -> None:
        self._random = epoch_generator(self.config.seed, self.current_epoch, _AUGMENTATION_STREAM)

        if self.quantised:
            self._simulate(self.network)
            # The export folds the running statistics into the weights, so these are what is trained for.
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def on_validation_epoch_start(self) -> None:
        if self.quantised:
            self._simulate(self.kept)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            # Layers such as dropout draw from torch's own generator. So does the loader, before the first batch, and
            # at another point of the first epoch than of later ones.
            stream = _LAYERS_STREAM + ranks.place().rank
            torch.manual_seed(epoch_generator(self.config.seed, self.current_epoch, stream).initial_seed())

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        images, labels = batch
        shift = round(self.config.shift * images.shape[1])
        pixels = augment(images, self._random, shift=shift, flip=self.flip, place=ranks.place())
        if self._rand_augment is not None:
            pixels = self._rand_augment(pixels)
        inputs = to_tensor(pixels)
        others, share = None, 1.0
        if self.config.mixup:
            inputs, others, share = mixup(inputs, self._random, self.config.mixup)
        with self._maps.collected() as maps:
            logits = self._computed(self.network, inputs)
        loss = self._label_loss(logits, labels)
        if others is not None:
            loss = share * loss + (1 - share) * self._label_loss(logits, labels[others])
        for teacher, wanted in self._teacher:
            loss = self._with_teacher(teacher, wanted, loss, inputs, logits, maps)
        self._log("train", loss, logits, labels)
        return loss

    def _label_loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)

    def _with_teacher(
        self, teacher: nn.Module, teacher_maps: AttentionMaps, loss: torch.Tensor, inputs: torch.Tensor,
        logits: torch.Tensor, maps: dict[str, torch.Tensor],
    ) -> torch.Tensor:  # fmt: skip
        with torch.no_grad(), teacher_maps.collected() as wanted:
            target = teacher(inputs)
        share = self.config.distillation
        total = (1 - share) * loss + share * output_loss(logits, target, self.config.temperature)
        if self.config.attention:
            total = total + self.config.attention * sum(attention_losses(maps, wanted))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self._average is not None:
            self._average.update(self.network, self.global_step - 1)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images, labels = batch
        logits = self(images)
        self._log("val", functional.cross_entropy(logits, labels), logits, labels)

    def _log(self, part: str, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        accuracy = (logits.argmax(1) == labels).float().mean()
        values = {f"{part}_loss": loss, f"{part}_accuracy": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)

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
        begin, share = self.config.schedule_from, self.config.schedule_to - self.config.schedule_from
        steps = round(self.trainer.estimated_stepping_batches / share)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(round(begin * steps) + step, steps, self.config.warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
