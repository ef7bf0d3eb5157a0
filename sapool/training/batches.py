"""Batches out of arrays in memory: whole batches are indexed at once, so no worker processes are needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from sapool.data import Split
from sapool.training import ranks

Batch = tuple[torch.Tensor, torch.Tensor]
"""Images uint8 [B, H, W, C] and labels int64 [B]."""


class SplitTensors(Dataset[Batch]):
    """The images and labels of a split; an index is a tensor of positions, and gives a batch."""

    def __init__(self, split: Split) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(split.images))
        self.labels = torch.from_numpy(np.ascontiguousarray(split.labels))

    def __getitem__(self, positions: torch.Tensor) -> Batch:
        return self.images[positions], self.labels[positions]

    def __len__(self) -> int:
        return len(self.labels)


class ShuffledBatches(Sampler[torch.Tensor]):
    """Positions of one epoch in random order, a tensor for each batch: this process' share of it, if there are several.

    The order depends on the seed and the epoch alone, so an epoch can be repeated without the ones before it. Images
    that do not fill a last batch wait for another epoch: statistics of a small batch would disturb the normalisation.

    Args:
        images: their number.
        batch_size: images of a batch, over all processes.
        seed: of the order.
        processes: that share a batch.
    """

    def __init__(self, images: int, batch_size: int, seed: int, processes: int = 1) -> None:
        self.images = images
        whole = min(batch_size, images)
        self.batch_size = whole - whole % processes
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning when an epoch begins."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[torch.Tensor]:
        order = torch.randperm(self.images, generator=epoch_generator(self.seed, self.epoch))
        own = ranks.place().share(self.batch_size)
        for batch in torch.split(order[: len(self) * self.batch_size], self.batch_size):
            yield batch[own]

    def __len__(self) -> int:
        return self.images // self.batch_size


class OrderedBatches(Sampler[torch.Tensor]):
    """All positions in order, a tensor for each batch; of several processes each has its own."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.images = images
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield from torch.split(self._positions(), self.batch_size)

    def __len__(self) -> int:
        return -(-len(self._positions()) // self.batch_size)

    def _positions(self) -> torch.Tensor:
        rank, world = ranks.place()
        return torch.arange(rank, self.images, world)


def loader(split: Split, sampler: Sampler[torch.Tensor]) -> DataLoader[Batch]:
    """Batches of `split` at the positions that `sampler` gives."""
    # With batch_size=None torch hands on what the sampler yields, here the positions of a whole batch.
    return DataLoader(SplitTensors(split), sampler=sampler, batch_size=None, num_workers=0)


def epoch_generator(seed: int, epoch: int, stream: int = 0) -> torch.Generator:
    """Random numbers of one epoch; different `stream`s are independent of each other."""
    state = np.random.SeedSequence((seed, epoch, stream)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))
