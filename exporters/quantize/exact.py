"""Scales with which TFLM and LiteRT multiply, divide and rectify alike.

Both rescale MUL and BATCH_MATMUL by s1 * s2 / s3, DIV by s1 / (s2 * s3) and a RELU that stands alone by s1 / s3, but one of
them computes that in single precision (tensorflow/lite/kernels/mul.cc, batch_matmul.cc, div.cc;
lite/micro/kernels/activations_common.cc) and the other one in double (lite/micro/kernels/mul_common.cc, div.cc;
lite/kernels/activations.cc). About one output in 100,000 then rounds to another integer. Where the quotient is exact in
single precision the two are the same, so the scales of these operators are rounded up, by a few percent, to numbers 3^i *
5^j * 2^k whose quotients are exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from exporters.graph import Graph

OPERATORS: Final = ("MUL", "DIV", "RELU", "BATCH_MATMUL")
_MANTISSAS: Final = sorted(m / 2 ** math.floor(math.log2(m)) for m in (3**i * 5**j for i in range(5) for j in range(3)))
_CANDIDATES: Final = 10  # the finest scales that are looked at for a tensor; the tenth is some 60% too coarse
_MOST_TRIES: Final = 20_000

Constraint = tuple[str, str, str, str]
"""Operator, and the groups of its two inputs (of a RELU twice the same) and its output."""

Acceptable = Callable[[str, float], bool]


def exact_scales(
    constraints: Sequence[Constraint], wanted: Mapping[str, float], fixed: Mapping[str, float],
    acceptable: Acceptable = lambda group, scale: True,
) -> dict[str, float]:  # fmt: skip
    """Scales for the groups in `constraints`, none finer than wanted.

    Args:
        constraints: the operators.
        wanted: finest scale of each group that covers its range.
        fixed: groups whose scale is given.
        acceptable: whether a group may have a scale, for reasons of its other readers.

    Returns:
        A scale for every group that is not fixed, where an exact solution was found; operators that hang together (one
        reads what another writes, or what a pool made of it) are solved together, and left out if there is none.
    """
    result: dict[str, float] = {}
    for component in _components(constraints, fixed):
        solution = _solve(component, wanted, fixed, acceptable)
        if solution is not None:
            result.update(solution)
    return result


def constraints_of(graph: Graph, groups: Mapping[str, str]) -> list[Constraint]:
    """The operators of a graph that need exact scales."""
    return [
        (op.op, groups[str(op.inputs[0])], groups[str(op.inputs[-1])], groups[op.outputs[0]])
        for op in graph.operators
        if op.op in OPERATORS
    ]


def is_exact(op: str, first: float, second: float, output: float) -> bool:
    """Whether single and double precision agree on the multiplier of an operator with these scales."""
    a, b, c = np.float32(first), np.float32(second), np.float32(output)
    if op in ("MUL", "BATCH_MATMUL"):
        return float(a * b / c) == float(a) * float(b) / float(c)
    if op == "RELU":
        return float(a / c) == float(a) / float(c)
    return float(a / (b * c)) == float(a) / (float(b) * float(c))


def _components(constraints: Sequence[Constraint], fixed: Mapping[str, float]) -> list[list[Constraint]]:
    """Constraints that share a group whose scale is still free."""
    components: list[tuple[set[str], list[Constraint]]] = []
    for constraint in constraints:
        free = {group for group in constraint[1:] if group not in fixed}
        joined = [part for part in components if part[0] & free]
        members = [one for part in joined for one in part[1]] + [constraint]
        names = free.union(*(part[0] for part in joined))
        components = [part for part in components if part not in joined] + [(names, members)]
    return [members for _, members in components]


def _solve(
    constraints: Sequence[Constraint], wanted: Mapping[str, float], fixed: Mapping[str, float], acceptable: Acceptable
) -> dict[str, float] | None:
    """Depth first over the operators, the finest scales first."""
    tries = 0

    def extend(position: int, chosen: dict[str, float]) -> dict[str, float] | None:
        nonlocal tries
        if position == len(constraints):
            return chosen
        op, *groups = constraints[position]
        known = {**fixed, **chosen}
        free = [group for group in dict.fromkeys(groups) if group not in known]
        choices = [[scale for scale in _candidates(wanted[group]) if acceptable(group, scale)] for group in free]
        for scales in _by_coarseness(choices):
            tries += 1
            if tries > _MOST_TRIES:
                return None
            trial = dict(zip(free, scales, strict=True))
            values = {**known, **trial}
            if is_exact(op, *(values[group] for group in groups)):
                solution = extend(position + 1, {**chosen, **trial})
                if solution is not None:
                    return solution
        return None

    return extend(0, {})


def _candidates(wanted: float) -> list[float]:
    """The finest scales 3^i * 5^j * 2^k that are not below `wanted`."""
    exponent = math.floor(math.log2(wanted))
    values = (m * 2.0 ** (exponent + shift) for shift in (0, 1) for m in _MANTISSAS)
    return [value for value in values if value >= wanted][:_CANDIDATES]


def _by_coarseness(choices: Sequence[Sequence[float]]) -> Iterator[tuple[float, ...]]:
    """All combinations, those whose scales are finest together first."""
    ranks = itertools.product(*(range(len(options)) for options in choices))
    for rank in sorted(ranks, key=sum):
        yield tuple(options[i] for options, i in zip(choices, rank, strict=True))
