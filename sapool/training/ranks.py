"""Which of the processes that train together this one is."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

# torchrun sets RANK and GROUP_RANK, Lightning's own launcher LOCAL_RANK and NODE_RANK, Slurm SLURM_PROCID.
_RANKS: Final = ("RANK", "GROUP_RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


class Place(NamedTuple):
    """The number of a process, from 0, and the number of processes."""

    rank: int
    world: int

    def share(self, count: int) -> slice:
        """The part of `count` things, a multiple of the processes, that is this one's."""
        own = count // self.world
        return slice(self.rank * own, (self.rank + 1) * own)


ALONE: Final = Place(0, 1)


def is_first() -> bool:
    """Whether this process speaks and writes files for all; known before the processes know each other."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def place() -> Place:
    """This process among those that know each other."""
    import torch.distributed as distributed

    if distributed.is_available() and distributed.is_initialized():
        return Place(distributed.get_rank(), distributed.get_world_size())
    return ALONE
