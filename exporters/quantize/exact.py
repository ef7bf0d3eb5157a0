"""Scales with which TFLM and LiteRT multiply, divide and rectify alike.

Both rescale MUL and BATCH_MATMUL by s1 * s2 / s3, DIV by s1 / (s2 * s3) and a RELU that stands alone by s1 / s3, but one of
them computes that in single precision (tensorflow/lite/kernels/mul.cc, batch_matmul.cc, div.cc;
lite/micro/kernels/activations_common.cc) and the other one in double (lite/micro/kernels/mul_common.cc, div.cc;
lite/kernels/activations.cc). About one output in 100,000 then rounds to another integer. Where the quotient is exact in
single precision the two are the same, so the scales of these operators are rounded up, by a few percent, to numbers 3^i *
5^j * 2^k whose quotients are exact.

A LEAKY_RELU is rescaled by s1 / s3 and slope * s1 / s3, and an exact quotient of the second one is too much to ask for. Both
are the same as well where no integer times the quotient lies half way between two others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from exporters.graph import Graph

OPERATORS: Final = ("MUL", "DIV", "RELU", "BATCH_MATMUL", "LEAKY_RELU")
_MANTISSAS: Final = sorted(m / 2 ** math.floor(math.log2(m)) for m in (3**i * 5**j for i in range(5) for j in range(3)))
_CANDIDATES: Final = 10  # the finest scales that are looked at for a tensor; the tenth is some 60% too coarse
_MOST_TRIES: Final = 20_000
_DOUBT: Final = 2.0**-21  # of a product; four times what two roundings to single precision make of it


class Constraint(NamedTuple):
    """An operator, the groups of its two inputs (of a RELU twice the same) and its output, and the slope of a LEAKY_RELU."""

    op: str
    first: str
    second: str
    output: str
    slope: float = 0.0

    @property
    def groups(self) -> tuple[str, str, str]:
        return self.first, self.second, self.output


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
    found = []
    for op in graph.operators:
        if op.op in OPERATORS:
            first, second, output = (groups[str(name)] for name in (op.inputs[0], op.inputs[-1], op.outputs[0]))
            found.append(Constraint(op.op, first, second, output, float(op.options.get("alpha", 0.0))))  # type: ignore[arg-type]
    return found


def is_exact(op: str, first: float, second: float, output: float, slope: float = 0.0) -> bool:
    """Whether single and double precision agree on the multiplier of an operator with these scales, or on what it gives."""
    a, b, c = np.float32(first), np.float32(second), np.float32(output)
    if op in ("MUL", "BATCH_MATMUL"):
        return float(a * b / c) == float(a) * float(b) / float(c)
    if op == "RELU":
        return float(a / c) == float(a) / float(c)
    if op == "LEAKY_RELU":
        exact = float(a) / float(c)
        return (float(a / c) == exact or _rounds_clearly(exact)) and _rounds_clearly(slope * exact)
    return float(a / (b * c)) == float(a) / (float(b) * float(c))


def _rounds_clearly(multiplier: float) -> bool:
    """Whether no difference of int8's values, times this, may be half way between two integers in single precision."""
    products = np.arange(256) * abs(multiplier)
    return bool((np.abs(products - np.floor(products) - 0.5) > _DOUBT * products).all())


def _components(constraints: Sequence[Constraint], fixed: Mapping[str, float]) -> list[list[Constraint]]:
    """Constraints that share a group whose scale is still free."""
    components: list[tuple[set[str], list[Constraint]]] = []
    for constraint in constraints:
        free = {group for group in constraint.groups if group not in fixed}
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
    easy = all(constraint.op == "LEAKY_RELU" for constraint in constraints)

    def extend(position: int, chosen: dict[str, float]) -> dict[str, float] | None:
        nonlocal tries
        if position == len(constraints):
            return chosen
        constraint = constraints[position]
        known = {**fixed, **chosen}
        free = [group for group in dict.fromkeys(constraint.groups) if group not in known]
        choices = [
            [scale for scale in _candidates(wanted[group], itself=easy) if acceptable(group, scale)] for group in free
        ]
        for scales in _by_coarseness(choices):
            tries += 1
            if tries > _MOST_TRIES:
                return None
            trial = dict(zip(free, scales, strict=True))
            values = {**known, **trial}
            first, second, output = (values[group] for group in constraint.groups)
            if is_exact(constraint.op, first, second, output, constraint.slope):
                solution = extend(position + 1, {**chosen, **trial})
                if solution is not None:
                    return solution
        return None

    return extend(0, {})


def _candidates(wanted: float, *, itself: bool) -> list[float]:
    """The finest scales 3^i * 5^j * 2^k that are not below `wanted`, behind `wanted` itself where that is likely to do."""
    exponent = math.floor(math.log2(wanted))
    values = (m * 2.0 ** (exponent + shift) for shift in (0, 1) for m in _MANTISSAS)
    nice = [value for value in values if value >= wanted][:_CANDIDATES]
    return [wanted, *nice] if itself else nice


def _by_coarseness(choices: Sequence[Sequence[float]]) -> Iterator[tuple[float, ...]]:
    """All combinations, those whose scales are finest together first."""
    ranks = itertools.product(*(range(len(options)) for options in choices))
    for rank in sorted(ranks, key=sum):
        yield tuple(options[i] for options, i in zip(choices, rank, strict=True))
