"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM, both kernel libraries."""

from __future__ import annotations

from firmware_sim.memory.elements import element_bytes
from firmware_sim.memory.kernels.context import Node, prepares

# Positions of the inputs (svdf_common.cc, lstm_shared.h).
_WEIGHTS_FEATURE = 1
_OUTPUT_STATE = 18
_CELL_STATE = 19


@prepares("SVDF")
def svdf(node: Node) -> None:
    """Source: svdf_common.cc:479-504."""
    _svdf_scratch(node)


@prepares("SVDF", kernels="cmsis-nn")
def cmsis_svdf(node: Node) -> None:
    """With Helium the sums of the weights are kept. Source: cmsis_nn/svdf.cc:175-215."""
    _svdf_scratch(node)
    if node.profile.isa == "mve" and node.input(0).type == "INT8":
        node.persistent(4 * node.dimension(node.input(_WEIGHTS_FEATURE), 0))


def _svdf_scratch(node: Node) -> None:
    rank = node.operator.option("rank")
    if rank < 1:
        raise node.error(f"rank {rank}")
    batch = node.dimension(node.input(0), 0)
    filters = node.dimension(node.input(_WEIGHTS_FEATURE), 0)
    node.scratch(4 * batch * filters)
    if node.input(0).type == "INT8":
        node.scratch(4 * batch * (filters // rank))


def _batch_and_state(node: Node) -> tuple[int, int]:
    batch_axis = 1 if node.operator.option("time_major") else 0
    return node.dimension(node.input(0), batch_axis), node.dimension(node.input(_OUTPUT_STATE), 1)


@prepares("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(node: Node) -> None:
    """Four gates. Source: unidirectional_sequence_lstm.cc:86-94, lstm_eval_common.cc:26-38."""
    batch, state = _batch_and_state(node)
    node.scratch(*[batch * state * element_bytes(node.input(_CELL_STATE))] * 4)


@prepares("UNIDIRECTIONAL_SEQUENCE_LSTM", kernels="cmsis-nn")
def cmsis_lstm(node: Node) -> None:
    """Bias sums of eight gate matrices are kept. Source: cmsis_nn/unidirectional_sequence_lstm.cc:119-145, 391-420."""
    if node.input(0).type == "FLOAT32":
        lstm(node)
        return
    batch, state = _batch_and_state(node)
    node.persistent(*[state * (4 if node.input(0).type == "INT8" else 8)] * 8)
    node.scratch(*[2 * batch * state] * 3)
