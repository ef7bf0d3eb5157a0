"""How large an arena AllocateTensors needs, which can be more than the model uses afterwards.

While TFLM initialises, the head holds requests for scratch buffers, and on top of it temporary tensors and the arrays of
the memory planner. Source: tensorflow/lite/micro/micro_allocator.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from firmware_sim.memory import sizes
from firmware_sim.memory.elements import ALIGNMENT_BYTES, round_up
from firmware_sim.memory.kernels import Node
from firmware_sim.model import Tensor
from firmware_sim.profiles import Profile

_REQUESTS_PER_OPERATOR = 12  # micro_allocator.cc:54
# GreedyMemoryPlanner::per_buffer_size (memory_planner/greedy_memory_planner.h:100-108).
_PLANNER_BYTES_PER_BUFFER = 40

# Tensors that Prepare fetches, in both kernel libraries: positions of inputs, -1 for the output. A tensor fetched twice
# takes its place twice. (kernels/conv_common.cc, depthwise_conv_common.cc, fully_connected.cc, pooling_common.cc,
# softmax_common.cc, transpose_conv.cc, lstm_eval_common.cc, and their cmsis_nn/ versions)
_FETCHED: Final[Mapping[str, tuple[int, ...]]] = {
    "CONV_2D": (-1, 0, 1, 0, 1, 2, -1),
    "DEPTHWISE_CONV_2D": (-1, 0, 1, 0, 1, 2, -1),
    "FULLY_CONNECTED": (0, 1, 2, -1),
    "AVERAGE_POOL_2D": (0, -1),
    "MAX_POOL_2D": (0, -1),
    "SOFTMAX": (0, -1),
    "TRANSPOSE_CONV": (-1, 2, 1, 2, 1, 3, -1),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (*range(24), -1),
}
_MOST_FETCHES: Final = 3  # of one tensor, by any other kernel


class Startup:
    """Follows the head and the tail through initialisation.

    Attributes:
        persistent_peak_bytes: most that head and tail took together.
        temporary_peak_bytes: the same with the temporary tensors of a Prepare.
        tail_at_planning_bytes: the tail when the planner runs.
    """

    def __init__(self, profile: Profile) -> None:
        self.persistent_peak_bytes = 0
        self.temporary_peak_bytes = 0
        self.tail_at_planning_bytes = 0
        self._head_bytes = 0
        self._request_bytes = sizes.core(profile, "ScratchBufferRequest").bytes
        self._tensor = sizes.core(profile, "TfLiteTensor")
        self._quantization = sizes.core(profile, "TfLiteAffineQuantization")

    def begin_model(self) -> None:
        """StartModelAllocation reserves room for the requests of one operator (lines 1233-1249)."""
        self.begin_operator(0)

    def begin_operator(self, requests: int) -> None:
        """Room for the requests so far and for those of one more operator (lines 736-763)."""
        self._head_bytes = self._request_bytes * (_REQUESTS_PER_OPERATOR + requests)

    def persistent(self, tail_bytes: int) -> None:
        """The tail has grown; only the head limits it."""
        top = self._head_bytes + tail_bytes
        if top > self.persistent_peak_bytes:
            self.persistent_peak_bytes = top

    def end_operator(self, node: Node, tail_bytes: int) -> None:
        """Count the temporary tensors of an operator's Prepare, which stay until it ends.

        Each is what AllocateTempTfLiteTensor takes (lines 225-343, 838-870): the structures, and an array of zero points,
        which is aligned to 4 bytes as they are.
        """
        top = self._head_bytes
        tensor_bytes, tensor_align = self._tensor
        structure_bytes, structure_align = self._quantization
        for tensor in _fetched(node):
            top += -top % tensor_align + tensor_bytes
            quantization = tensor.quantization
            if quantization is not None and quantization.scale and quantization.zero_point:
                top += -top % structure_align + structure_bytes + 4 + 4 * len(quantization.scale)
        self.temporary_peak_bytes = max(self.temporary_peak_bytes, top + tail_bytes)

    def end_planning(self, tail_bytes: int) -> None:
        """The requests make room for the plan, which counts from here on."""
        self.tail_at_planning_bytes = tail_bytes
        self._head_bytes = 0

    def planning_bytes(self, profile: Profile, *, subgraphs: int, tensors: int, requests: int, planned: int) -> int:
        """Arena that CommitStaticMemoryPlan needs for its arrays and those of the planner (lines 1101-1180)."""
        pointer = profile.pointer_bytes
        info = sizes.core(profile, "AllocationInfo")
        head_bytes = self._request_bytes * (_REQUESTS_PER_OPERATOR + requests)
        top = round_up(head_bytes, pointer) + pointer * subgraphs
        top = round_up(top, info.align_bytes) + info.bytes * (tensors + requests)
        planner = round_up(top, ALIGNMENT_BYTES) + _PLANNER_BYTES_PER_BUFFER * planned
        return planner + round_up(self.tail_at_planning_bytes, ALIGNMENT_BYTES)


def _fetched(node: Node) -> Iterator[Tensor]:
    inputs, outputs = node.operator.inputs, node.operator.outputs
    positions = None if node.operator.is_custom else _FETCHED.get(node.operator.op)
    if positions is None:
        indices = (inputs + outputs) * _MOST_FETCHES
    else:
        by_position = {-1: outputs[0], **dict(enumerate(inputs))} if outputs else {}
        indices = tuple(by_position.get(position, -1) for position in positions)
    return (node.tensors[index] for index in indices if index >= 0)
