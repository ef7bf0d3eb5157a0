"""Resource variables."""

from __future__ import annotations

from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.memory.kernels.context import Node, prepares
from firmware_sim.model import Operator


def variable_key(operator: Operator) -> tuple[str, str]:
    """What a VAR_HANDLE names: container and shared name."""
    return str(operator.options.get("container", "")), str(operator.options.get("shared_name", ""))


@prepares("ASSIGN_VARIABLE")
def assign_variable(node: Node) -> None:
    """The first assignment of a variable allocates it.

    Source: assign_variable.cc:80-87, micro_resource_variable.cc:83-114.
    """
    producer = node.producers.get(node.operator.inputs[0]) if node.operator.inputs else None
    if producer is None or producer.is_custom or producer.op != "VAR_HANDLE":
        return
    key = variable_key(producer)
    if key not in node.variables:
        count = tensor_bytes(node.input(1))
        node.variables[key] = count
        node.persistent(count)
