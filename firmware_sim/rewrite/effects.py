"""What operators do beside computing their outputs, and which of them therefore have to stay in order.

Resource variables are told apart by the names in their VAR_HANDLE (micro_resource_variable.cc), so that a variable may be
read late, next to where its value is needed, as long as it is read before it is assigned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from firmware_sim.memory.kernels.resources import variable_key
from firmware_sim.model import Operator
from firmware_sim.rewrite.draft import DraftGraph

_STATEFUL: Final = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE", "IF", "READ_VARIABLE", "VAR_HANDLE", "WHILE"})
_ON_VARIABLES: Final = frozenset({"ASSIGN_VARIABLE", "READ_VARIABLE"})


def is_stateful(graph: DraftGraph, operator: Operator) -> bool:
    """An operator that must run, whoever reads its outputs."""
    touched = (*operator.inputs, *operator.outputs)
    return (
        operator.is_custom
        or operator.op in _STATEFUL
        or not operator.outputs
        or any(graph.tensors[index].is_variable for index in touched if index >= 0)
    )


def effects_in_order(graph: DraftGraph) -> Iterator[tuple[int, int]]:
    """Pairs of positions, the later operator first, that no order may exchange.

    A VAR_HANDLE only hands out a number, which is fixed before the first operator runs (kernels/var_handle.cc). Reading and
    assigning are ordered per variable; what else is stateful is ordered against everything that is.
    """
    handles = {
        operator.outputs[0]: variable_key(operator)
        for operator in graph.operators
        if operator.op == "VAR_HANDLE" and not operator.is_custom and operator.outputs
    }
    barrier: int | None = None
    since: list[int] = []  # all that is ordered after the barrier
    assigned: dict[tuple[str, str], int] = {}
    read: dict[tuple[str, str], list[int]] = {}
    for position, operator in enumerate(graph.operators):
        if not is_stateful(graph, operator) or (operator.op == "VAR_HANDLE" and not operator.is_custom):
            continue
        is_on_variable = operator.op in _ON_VARIABLES and not operator.is_custom and operator.inputs
        key = handles.get(operator.inputs[0]) if is_on_variable else None
        if key is None:
            yield from ((position, earlier) for earlier in since)
            if barrier is not None:
                yield position, barrier
            barrier, since = position, []
            assigned.clear()
            read.clear()
            continue
        if barrier is not None:
            yield position, barrier
        if key in assigned:
            yield position, assigned[key]
        if operator.op == "READ_VARIABLE":
            read.setdefault(key, []).append(position)
        else:
            yield from ((position, earlier) for earlier in read.pop(key, ()))
            assigned[key] = position
        since.append(position)
