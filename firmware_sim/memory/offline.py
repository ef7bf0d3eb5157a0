"""The memory plan that a model may bring along.

Source: tensorflow/lite/micro/micro_allocation_info.cc:338-373 and docs/memory_management.md.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from firmware_sim.errors import ModelError
from firmware_sim.model import Model

METADATA: Final = "OfflineMemoryAllocation"
"""Name of the metadata entry that holds the plan."""

RECORD: Final = "sapool.memory_plan"
"""Metadata entry that says for which kernels the plan of a file was made (`firmware_sim.overlap.stored`)."""

_ONLINE: Final = -1  # kOnlinePlannedBuffer
_VERSION: Final = 1
_HEADER_WORDS: Final = 3  # version and subgraph, which TFLM ignores, and the number of tensors


class OfflinePlan(NamedTuple):
    """Offsets of the tensors of all subgraphs, one after the other; None where TFLM plans."""

    offsets: Sequence[int | None]

    def offset(self, number: int) -> int | None:
        """Offset of the tensor with that running number over all subgraphs."""
        return self.offsets[number] if self.offsets else None

    def keeps_out_of_tail(self, local_index: int) -> bool:
        """A variable of that index within its subgraph is not put into the tail.

        TFLM looks up the index within the subgraph in the list of all subgraphs (micro_allocator.cc:1074-1092), so that
        a variable of a later subgraph is judged by the entry of a tensor of the first one.
        """
        return bool(self.offsets) and self.offsets[local_index] is not None


def offline_plan(model: Model) -> OfflinePlan:
    """The plan in the model's metadata; one without offsets if there is none.

    Raises:
        ModelError: the plan is damaged, has an offset below -1, or not one entry per tensor.
    """
    data = model.metadata.get(METADATA)
    if data is None:
        return OfflinePlan(())
    tensors = sum(len(subgraph.tensors) for subgraph in model.subgraphs)
    if len(data) < 4 * _HEADER_WORDS:
        raise ModelError(f"metadata {METADATA!r} is truncated: {len(data)} bytes")
    count: int = struct.unpack_from("<i", data, 8)[0]
    if count != tensors or len(data) < 4 * (_HEADER_WORDS + count):
        raise ModelError(f"metadata {METADATA!r} holds {count} offsets for {tensors} tensors")
    words = struct.unpack_from(f"<{count}i", data, 4 * _HEADER_WORDS)
    if any(word < _ONLINE for word in words):
        raise ModelError(f"metadata {METADATA!r} holds a negative offset")
    return OfflinePlan([None if word == _ONLINE else word for word in words])


def encode(offsets: Sequence[int | None]) -> bytes:
    """The metadata entry for a plan: offsets of the tensors of all subgraphs, None where TFLM is to plan."""
    words = [_ONLINE if offset is None else offset for offset in offsets]
    return struct.pack(f"<{_HEADER_WORDS + len(words)}i", _VERSION, 0, len(words), *words)
