"""Tensors that share memory though no operator says so: slices and parts whose copies were taken out of a file.

An operator that would copy bytes onto themselves can be left out, and with it goes what it said: that one tensor is a run of
bytes of another. A storage says it instead. Such a file computes garbage without its plan, since nothing is copied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Tensor

Storage = Mapping[int, int]
"""Tensors in one run of bytes, with how many bytes behind its beginning each of them begins."""

UNWRITTEN = -1
"""Number of a byte that nothing was written to."""


def misplaced(storages: Collection[Storage], places: Mapping[int, int]) -> list[int]:
    """Tensors that a plan does not put where their storage has them; the first of a storage says where it is."""
    found = []
    for storage in storages:
        begins = {places[index] - offset for index, offset in storage.items() if index in places}
        begin = min(begins, default=0)
        found += [index for index, offset in storage.items() if places.get(index) != begin + offset]
    return found


@dataclass(slots=True)
class Contents:
    """What tensors hold, as numbers of bytes; those of one storage see what the others write."""

    storages: Sequence[Storage]
    tensors: Sequence[Tensor]
    homes: dict[int, tuple[NDArray[np.int64], int]] = field(init=False)
    own: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.homes = {}
        for storage in self.storages:
            size = max(offset + tensor_bytes(self.tensors[index]) for index, offset in storage.items())
            numbers = np.full(size, UNWRITTEN, np.int64)
            self.homes.update({index: (numbers, offset) for index, offset in storage.items()})

    def write(self, index: int, numbers: NDArray[np.int64]) -> None:
        """A tensor holds `numbers` from now on."""
        if index in self.homes:
            home, offset = self.homes[index]
            home[offset : offset + len(numbers)] = numbers
        else:
            self.own[index] = numbers.copy()  # they may be those of a storage, which change

    def of(self, index: int) -> NDArray[np.int64] | None:
        """What a tensor holds; None if nothing was written to it."""
        if index in self.homes:
            home, offset = self.homes[index]
            return home[offset : offset + tensor_bytes(self.tensors[index])]
        return self.own.get(index)
