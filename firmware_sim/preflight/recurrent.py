"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from firmware_sim.preflight.refusal import Refusal
from firmware_sim.preflight.site import Site, rule, scale

_SVDF: Final = "kernels/svdf_common.cc"
_LSTM: Final = "kernels/lstm_eval.cc"

# Operands of SVDF by the type of its data: weights_feature, weights_time, bias, state, output (svdf_common.cc:399-497).
_FLOAT: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset({"FLOAT32"}) for name in ("in1", "in2", "in3", "in4", "out0")
}
_INTEGER: Final[Mapping[str, frozenset[str]]] = {
    "in1": frozenset({"INT8"}),
    "in2": frozenset({"INT8", "INT16"}),
    "in3": frozenset({"INT32"}),
    "in4": frozenset({"INT8", "INT16"}),
    "out0": frozenset({"INT8"}),
}
_ABSENT: Final = {9: "peephole", 10: "peephole", 11: "peephole", 16: "projection", 17: "projection"} | dict.fromkeys(
    range(20, 24), "layer normalisation"
)
_PRESENT: Final = {
    **dict.fromkeys(range(1, 9), "weights"),
    **dict.fromkeys(range(12, 16), "bias"),
    **dict.fromkeys((18, 19), "state"),
}


@rule("SVDF")
def svdf_types(site: Site) -> Iterator[Refusal]:
    """Types of all operands follow from that of the data."""
    data = site.input(0)
    wanted = {"FLOAT32": _FLOAT, "INT8": _INTEGER}.get("" if data is None else data.type, {})
    for name, types in wanted.items():
        tensor = site.operand(name)
        if tensor is not None and tensor.type not in types:
            reason = f"{tensor.type} is not supported with {data.type if data else ''} data; "
            yield site.refuse(f"{reason}TFLM takes {', '.join(sorted(types))}", _SVDF, tensor=tensor)


@rule("SVDF")
def svdf_operands(site: Site) -> Iterator[Refusal]:
    """State that is kept between calls; for int8 a bias that counts in state scale times weight scale."""
    weights, bias, state = site.input(2), site.input(3), site.input(4)
    data = site.input(0)
    if state is not None and not state.is_variable:
        yield site.refuse("the state is not a variable", _SVDF, tensor=state)
    if data is None or data.type != "INT8":
        return
    if bias is None:
        yield site.refuse("no bias, which int8 data need", _SVDF)
    elif weights is not None and state is not None:
        product = scale(state) * scale(weights)
        if abs(scale(bias) - product) >= 1e-5:
            reason = f"scale {scale(bias):.9g}; TFLM wants that of the state times that of the weights, {product:.9g}"
            yield site.refuse(reason, _SVDF, tensor=bias)


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm_operands(site: Site) -> Iterator[Refusal]:
    """A plain LSTM: all weights and biases, states that are kept, and none of the extensions."""
    if len(site.operator.inputs) != 24:
        return
    for position, what in _ABSENT.items():
        tensor = site.input(position)
        if tensor is not None:
            yield site.refuse(f"{what} is not supported", _LSTM, tensor=tensor)
    for position, what in _PRESENT.items():
        if site.input(position) is None:
            yield site.refuse(f"{what} at input {position} is missing", _LSTM)
    for position in (18, 19):
        state = site.input(position)
        if state is not None and not state.is_variable:
            yield site.refuse("the state is not a variable", _LSTM, tensor=state)


@rule("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm_cell(site: Site) -> Iterator[Refusal]:
    """Integer data keep their cell state in 16 bits."""
    data, cell = site.input(0), site.input(19)
    if data is not None and cell is not None and data.type in ("INT8", "INT16") and cell.type != "INT16":
        source = "kernels/unidirectional_sequence_lstm.cc"
        yield site.refuse(f"{cell.type} cell state with {data.type} data; TFLM takes INT16", source, tensor=cell)
