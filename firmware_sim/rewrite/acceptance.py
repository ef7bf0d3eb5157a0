"""Which models can be rewritten at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from firmware_sim.errors import ModelError
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import COMPRESSION_METADATA, Model, Subgraph
from firmware_sim.overlap import stored

# Following every byte of more would take longer, and more memory, than a plan for a microcontroller is worth.
_MOST_BYTES: Final = 1 << 25


def check(model: Model) -> None:
    """Refuse a model that rewriting could break.

    Raises:
        ModelError: its constants are compressed, it brings an overlapping plan, its tensors are far too large for a
            microcontroller, or some tensor does not get its values from one place, before they are read.
    """
    if COMPRESSION_METADATA in model.metadata:
        raise _refused(model, "its constants are compressed, by numbers of tensors that rewriting would change")
    total_bytes = sum(
        tensor_bytes(tensor) for subgraph in model.subgraphs for tensor in subgraph.tensors if tensor.data is None
    )
    if total_bytes > _MOST_BYTES:
        raise _refused(model, f"its tensors hold {total_bytes:,} bytes; more than {_MOST_BYTES:,} are not rewritten")
    for number, subgraph in enumerate(model.subgraphs):
        for fault in _faults(subgraph):
            raise _refused(model, f"subgraph {number}, {fault}")
    if stored.overlaps(model):
        made = " by sapool shrink" if stored.recorded_kernels(model) else ""
        raise _refused(
            model,
            f"it brings a memory plan{made} in which buffers overlap, and what that relies on is not known",
            "Give the file from before it was planned.",
        )


def _refused(model: Model, message: str, hint: str | None = None) -> ModelError:
    return ModelError(message, where=model.path, hint=hint)


def _faults(subgraph: Subgraph) -> Iterator[str]:
    """Operators that write what has values already, or read what gets them only later."""
    has_values = {tensor.index for tensor in subgraph.tensors if tensor.data is not None or tensor.is_variable}
    has_values |= set(subgraph.inputs)
    coming = {index for operator in subgraph.operators for index in operator.outputs}
    for operator in subgraph.operators:
        what = f"operator {operator.index} ({operator.op})"
        for index in operator.inputs:
            if index in coming - has_values:
                yield f"{what} reads tensor {subgraph.tensors[index].name!r} before it is written"
        for index in operator.outputs:
            if index in has_values and not subgraph.tensors[index].is_variable:
                yield f"{what} writes tensor {subgraph.tensors[index].name!r}, which has its values from elsewhere"
            has_values.add(index)
