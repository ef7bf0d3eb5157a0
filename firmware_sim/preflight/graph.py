"""Rules of the interpreter, which hold for every operator."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.memory import sizes
from firmware_sim.memory.kernels import custom_init
from firmware_sim.model import Operator, Subgraph, Tensor
from firmware_sim.preflight.refusal import Refusal

_FIXED = "TensorFlow Lite Micro needs fixed shapes; export the model with fixed sizes."


def shapes(number: int, subgraph: Subgraph) -> Iterator[Refusal]:
    """Every size must be known; only a RESHAPE can find one out by itself (micro_interpreter_graph.cc:49-78)."""
    open_tensors = {tensor.index for tensor in subgraph.tensors if -1 in tensor.shape}
    if not open_tensors:
        return
    for operator in subgraph.operators:
        if operator.op == "RESHAPE" and not operator.is_custom:
            open_tensors.difference_update(operator.outputs)
    for index in sorted(open_tensors):
        tensor = subgraph.tensors[index]
        reason = f"has the shape {list(tensor.shape)}: sizes that are not known before the model runs"
        source = "micro_interpreter_graph.cc"
        yield Refusal(number, None, "", tensor.name, reason, source, hint=_FIXED)


def operator(number: int, subgraph: Subgraph, operator: Operator) -> Iterator[Refusal]:
    """Rules that do not depend on the kernel."""

    def refuse(reason: str, source: str, tensor: Tensor | None = None, hint: str | None = None) -> Refusal:
        name = None if tensor is None else tensor.name
        return Refusal(number, operator.index, operator.op, name, reason, source, hint=hint)

    if operator.is_custom:
        if custom_init(operator.op) is None:
            yield _unregistered(
                number, operator, "no custom operator of TFLM; the application has to register its kernel"
            )
    elif not sizes.is_known(operator.op):
        yield _unregistered(number, operator, "TFLM is not known to have this operator")
    elif operator.custom_options is not None:
        yield refuse("a builtin operator with custom options", "micro_interpreter.cc")
    for index in operator.outputs:
        tensor = subgraph.tensors[index]
        if 0 in tensor.shape and tensor.shape != (0,):
            reason = f"shape {list(tensor.shape)}; TFLM takes a size of 0 for one that is not known"
            yield refuse(reason, "micro_interpreter_graph.cc", tensor, _FIXED)
    for index in operator.intermediates:
        if index >= 0 and subgraph.tensors[index].elements != 0:
            tensor = subgraph.tensors[index]
            yield refuse("an intermediate tensor with a size", "micro_allocation_info.cc", tensor)


def _unregistered(number: int, operator: Operator, reason: str) -> Refusal:
    return Refusal(
        number, operator.index, operator.op, None, reason, "micro_interpreter.cc", certain=False,
        hint="Register a kernel for it in the application, or export the model without it.",
    )  # fmt: skip
