"""A torch network, or a checkpoint of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sapool.data.preprocessing import to_tensor

if TYPE_CHECKING:
    from torch import nn


class NetworkPredictor:
    """A torch network on the CPU, in evaluation mode.

    Args:
        network: takes float32 [B, C, H, W], gives logits [B, classes].
        labels: names of its classes.
        resolution: height and width of its images.
        channels: of its images.
        name: what to call it in messages.
        split_seed: by which its data was split, if known.
    """

    runtime = "torch, float32"

    def __init__(
        self,
        network: nn.Module,
        labels: tuple[str, ...],
        *,
        resolution: int,
        channels: int = 3,
        name: str = "network",
        split_seed: int | None = None,
    ) -> None:
        self._network = network.eval()
        self.name = name
        self.labels: tuple[str, ...] | None = labels
        self.classes = len(labels)
        self.resolution = resolution
        self.channels = channels
        self.split_seed = split_seed

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits [N, classes]."""
        import torch

        with torch.inference_mode():
            logits = self._network(to_tensor(torch.from_numpy(np.ascontiguousarray(images))))
        return np.asarray(logits.numpy(), dtype=np.float32)


def load(path: Path) -> NetworkPredictor:
    """A checkpoint (.safetensors).

    Raises:
        FileError: it cannot be read.
    """
    from sapool import checkpoint

    loaded = checkpoint.load(path)
    seed = loaded.header.get("split_seed")
    return NetworkPredictor(
        loaded.model,
        tuple(loaded.labels),
        resolution=loaded.spec.resolution,
        channels=loaded.spec.channels,
        name=str(path),
        split_seed=seed if isinstance(seed, int) else None,
    )
