"""The planned part of the arena: which buffers there are, and where the planner puts them.

Source: tensorflow/lite/micro/micro_allocation_info.cc:103-334, micro_allocator.cc:106-127, 1101-1211.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Literal

from firmware_sim.errors import ModelError
from firmware_sim.lifetimes import UNSET, Lifetime, Lifetimes
from firmware_sim.memory.elements import round_up, tensor_bytes
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import Scratch
from firmware_sim.model import Subgraph, Tensor
from firmware_sim.planners import BufferRequest
from firmware_sim.records import Record

# Pairs of buffers alive together, over which planning takes its time; a network of a microcontroller has some thousands.
_MAX_PAIRS: Final = 1_000_000


class HeadBuffer(Record):
    """A buffer of the head before it is placed; `index` is that of its tensor, or of the operator that asked for it."""

    name: str
    kind: Literal["tensor", "scratch"]
    subgraph: int
    request: BufferRequest
    index: int


def head_buffers(
    subgraphs: Sequence[Subgraph],
    tensors: Sequence[Sequence[Tensor]],
    scratch: Sequence[Scratch],
    times: Lifetimes,
    plan: OfflinePlan,
) -> list[HeadBuffer]:
    """Buffers in the order in which TFLM hands them to its planner: tensors of all subgraphs, then scratch.

    Args:
        subgraphs: the model's.
        tensors: evaluation tensors per subgraph, with the shapes that Prepare has left.
        scratch: scratch requests in their order.
        times: lifetimes of the model.
        plan: the model's offline plan.

    Raises:
        ModelError: TFLM refuses the model, or there are too many buffers.
    """
    buffers = []
    number = 0
    for index, subgraph in enumerate(subgraphs):
        _check_intermediates(subgraph, tensors[index])
        handles = _handles(subgraph)
        for tensor, lifetime in zip(tensors[index], times.tensors[index], strict=True):
            offset = plan.offset(number)
            number += 1
            count = tensor_bytes(tensor)
            is_planned = not tensor.is_variable or offset is not None
            if tensor.data is None and is_planned and count and tensor.index not in handles:
                request = BufferRequest(round_up(count), lifetime.first, lifetime.last, offset)
                buffers.append(HeadBuffer(tensor.name, "tensor", index, request, tensor.index))
    buffers.extend(_scratch_buffers(subgraphs, scratch, times))
    pairs = _pairs([buffer.request for buffer in buffers])
    if pairs > _MAX_PAIRS:
        raise ModelError(f"{pairs:,} pairs of buffers are alive together; more than {_MAX_PAIRS:,} are not supported")
    return buffers


def _pairs(requests: Sequence[BufferRequest]) -> int:
    """How many pairs of buffers are alive at one time: all pairs but those of which one ends before the other begins."""
    ends = sorted(request.last for request in requests)
    apart = sum(bisect_left(ends, request.first) for request in requests)
    return len(requests) * (len(requests) - 1) // 2 - apart


def _check_intermediates(subgraph: Subgraph, tensors: Sequence[Tensor]) -> None:
    for operator in subgraph.operators:
        for index in operator.intermediates:
            if index >= 0 and tensor_bytes(tensors[index]):
                raise ModelError(
                    f"operator {operator.index} ({operator.op}): intermediate tensor {tensors[index].name!r} has a "
                    "size; TensorFlow Lite Micro allows none"
                )


def _handles(subgraph: Subgraph) -> set[int]:
    """Outputs of VAR_HANDLE, which point into the kernel's own data (kernels/var_handle.cc:70)."""
    return {
        index
        for operator in subgraph.operators
        if operator.op == "VAR_HANDLE" and not operator.is_custom
        for index in operator.outputs
    }


def _scratch_buffers(subgraphs: Sequence[Subgraph], scratch: Sequence[Scratch], times: Lifetimes) -> list[HeadBuffer]:
    buffers = []
    counts: dict[tuple[int, int], int] = {}
    for entry in scratch:
        key = entry.subgraph, entry.operator
        counts[key] = counts.get(key, 0) + 1
        name = f"{subgraphs[entry.subgraph].operators[entry.operator].op} {entry.operator} scratch {counts[key]}"
        # An operator of a subgraph that nothing calls: its request stays, without a size.
        lifetime = times.operators.get(key)
        count = 0 if lifetime is None else round_up(entry.bytes)
        lifetime = lifetime or Lifetime(UNSET, UNSET)
        request = BufferRequest(count, lifetime.first, lifetime.last, None)
        buffers.append(HeadBuffer(name, "scratch", entry.subgraph, request, entry.operator))
    return buffers
