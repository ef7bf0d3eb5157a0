"""Learning from a larger network: its outputs, and its attention maps where both networks have them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from firmware_sim.errors import UsageError
from sapool.pooling.self_attentive import SelfAttentivePooling


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A trained network; `name` says in words where it comes from."""

    network: nn.Module
    name: str


def load_teacher(path: Path, *, labels: tuple[str, ...], resolution: int, channels: int) -> Teacher:
    """The teacher in a checkpoint of sapool.

    Raises:
        FileError: it cannot be read.
        UsageError: it tells other classes apart, or takes other images.
    """
    from sapool import checkpoint

    loaded = checkpoint.load(path)
    if loaded.labels != labels:
        raise UsageError("the teacher's classes are not those of the data", where=path)
    if (loaded.spec.resolution, loaded.spec.channels) != (resolution, channels):
        raise UsageError(
            f"the teacher takes {loaded.spec.resolution} pixels in {loaded.spec.channels} channels, the student "
            f"{resolution} in {channels}",
            where=path,
        )
    return Teacher(loaded.model.requires_grad_(False), f"{path.name}, {loaded.spec}")


def output_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divergence of the student's softened outputs from the teacher's, times the square of the temperature.

    Args:
        student, teacher: logits [B, K].
        temperature: that both are divided by.

    Source: Hinton et al., "Distilling the Knowledge in a Neural Network" (2015), section 2.
    """
    soft = functional.log_softmax(student / temperature, 1)
    target = functional.log_softmax(teacher / temperature, 1)
    return functional.kl_div(soft, target, reduction="batchmean", log_target=True) * temperature**2


def attention_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of two attention maps, each squared, summed over channels and brought to length 1.

    Args:
        student, teacher: [B, C, H, W], with any number of channels each.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention" (2017), equation 2, with p = 2 and the mean over
    positions of their implementation.
    """
    return (_spatial(student) - _spatial(teacher)).square().mean()


def _spatial(maps: torch.Tensor) -> torch.Tensor:
    return functional.normalize(maps.square().mean(1).flatten(1))


class AttentionMaps:
    """Collects the attention maps of the self-attentive pools of a network while it runs: [B, C, H/p, W/p] by name."""

    def __init__(self, network: nn.Module) -> None:
        self.maps: dict[str, torch.Tensor] = {}
        self._restorations = {
            name: module.restore for name, module in network.named_modules() if isinstance(module, SelfAttentivePooling)
        }

    @contextmanager
    def collected(self) -> Iterator[dict[str, torch.Tensor]]:
        """The maps of what runs within."""
        self.maps = {}
        handles = [module.register_forward_hook(self._keeper(name)) for name, module in self._restorations.items()]
        try:
            yield self.maps
        finally:
            for handle in handles:
                handle.remove()

    def _keeper(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            self.maps[name] = output.sigmoid()

        return keep


def attention_losses(student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The distance of every pair of maps of one pool that have the same extent."""
    return [
        attention_loss(own, teacher[name])
        for name, own in student.items()
        if name in teacher and own.shape[2:] == teacher[name].shape[2:]
    ]
