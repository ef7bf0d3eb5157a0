"""Scales with which TFLM and LiteRT multiply, divide and rectify alike.

Both rescale MUL and BATCH_MATMUL by s1 * s2 / s3, DIV by s1 / (s2 * s3), a RELU that stands alone by s1 / s3, and a
LEAKY_RELU by s1 / s3 and slope * s1 / s3, but one of them computes that in single precision (tensorflow/lite/kernels/mul.cc,
batch_matmul.cc, div.cc; lite/micro/kernels/activations_common.cc) and the other one in double (lite/micro/kernels/
mul_common.cc, div.cc; lite/kernels/activations.cc). About one output in 100,000 then rounds to another integer. Where the
quotient is exact in single precision the two are the same, so the scales of these operators are rounded up, by a few
percent, to numbers 3^i * 5^j * 2^k whose quotients are exact.

There may be none: the product of two dictated scales, powers of two, is exact under another power of two only. Then scales
are made coarser in steps of 0.1% until none of the integers that the operator may meet is half way between two others. So it
is at once for a LEAKY_RELU, of whose slope an exact quotient would be too much to ask.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from exporters.graph import Graph

OPERATORS: Final = ("MUL", "DIV", "RELU", "BATCH_MATMUL", "LEAKY_RELU")
_MANTISSAS: Final = sorted(m / 2 ** math.floor(math.log2(m)) for m in (3**i * 5**j for i in range(5) for j in range(3)))
_CANDIDATES: Final = 10  # the finest scales that are looked at for a tensor; the tenth is some 60% too coarse
_MOST_TRIES: Final = 20_000
_MOST_CHECKS: Final = 1000  # of all integers, a millisecond each; 22 were the most that a network needed
COARSER: Final = 1.001
"""By how much a scale grows at a time until what it is for holds."""
_STEPS: Final = 30  # of that, that are tried
_DOUBT: Final = 2.0**-30  # of a multiplier, which is rounded to 31 bits
_DOUBT_OF_QUOTIENTS: Final = 2.0**-22  # of integers, which are products with reciprocals in fixed point
_CLIPPED: Final = 256.5  # in steps of the output


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
        A scale for every group that is not fixed, where a solution was found; operators that hang together (one reads what
        another writes, or what a pool made of it) are solved together, and left out if there is none.
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
    """Whether single and double precision agree on the multipliers of an operator with these scales."""
    return all(single == double for single, double in _multipliers(op, first, second, output, slope))


def rounds_alike(op: str, first: float, second: float, output: float, slope: float = 0.0) -> bool:
    """Whether they agree on what an operator gives for all integers; not for BATCH_MATMUL, which rescales sums."""
    pairs = _multipliers(op, first, second, output, slope)
    return all(single == double or _is_clear(op, single, double) for single, double in pairs)


def _multipliers(op: str, first: float, second: float, output: float, slope: float) -> list[tuple[float, float]]:
    """What an operator rescales by, each in single and in double precision."""
    a, b, c = np.float32(first), np.float32(second), np.float32(output)
    if op in ("MUL", "BATCH_MATMUL"):
        return [(float(a * b / c), float(a) * float(b) / float(c))]
    if op == "DIV":
        return [(float(a / (b * c)), float(a) / (float(b) * float(c)))]
    found = [(float(a / c), float(a) / float(c))]
    if op == "LEAKY_RELU":
        alpha = np.float32(slope)  # as in the file
        found.append((float(a * alpha / c), float(a) * float(alpha) / float(c)))
    return found


def _is_clear(op: str, single: float, double: float) -> bool:
    """Whether every integer that an operator may meet gives the same under both multipliers, rounded once or twice."""
    doubt = _DOUBT_OF_QUOTIENTS if op == "DIV" else _DOUBT
    low, high = sorted((abs(single), abs(double)))
    low, high = low * (1 - doubt), high * (1 + doubt)
    numbers = _magnitudes(op if op in ("MUL", "DIV") else "")
    numbers = numbers[numbers * low <= _CLIPPED]
    once = (np.floor(numbers * low + 0.5) == np.floor(numbers * high + 0.5)).all()
    return bool(once) and (op == "DIV" or _are_rescaled_alike(numbers.astype(np.int64), single, double))


def _are_rescaled_alike(numbers: NDArray[np.int64], single: float, double: float) -> bool:
    """The same as the kernels compute it, of both signs."""
    both = np.concatenate([-numbers, numbers])
    return bool((_rescaled(both, single) == _rescaled(both, double)).all())


def _rescaled(numbers: NDArray[np.int64], multiplier: float) -> NDArray[np.int64]:
    """MultiplyByQuantizedMultiplier (lite/kernels/internal/common.h): rounded to a few bits first, and then to integers, so
    that what is half way between two integers is not all that may go either way."""
    fraction, exponent = math.frexp(abs(multiplier))
    if exponent < -31:
        return np.zeros_like(numbers)
    products = (numbers << max(exponent, 0)) * math.floor(fraction * 2.0**31 + 0.5)
    halves = np.abs(products) + (1 << 30) - (products < 0)
    high = np.sign(products) * (halves >> 31)
    right = max(-exponent, 0)
    mask = (1 << right) - 1
    return np.asarray((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)), np.int64)


@cache
def _magnitudes(op: str) -> NDArray[np.float64]:
    """Differences of int8's values, or products or quotients of two of them, in order."""
    differences = np.arange(1, 256, dtype=np.float64)
    if op == "MUL":
        return np.unique(np.outer(differences, differences))
    return np.unique(np.divide.outer(differences, differences)) if op == "DIV" else differences


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
    """Scales that are exact, or else such that what is rounded is the same."""
    ops = {constraint.op for constraint in constraints}
    if ops != {"LEAKY_RELU"}:
        found = _search(constraints, wanted, fixed, acceptable, _round_numbers, is_exact, _MOST_TRIES)
        if found is not None or "BATCH_MATMUL" in ops:  # nobody knows all of its sums
            return found
    return _search(constraints, wanted, fixed, acceptable, _near_numbers, rounds_alike, _MOST_CHECKS)


def _search(
    constraints: Sequence[Constraint], wanted: Mapping[str, float], fixed: Mapping[str, float], acceptable: Acceptable,
    candidates: Callable[[float], list[float]], agree: Callable[[str, float, float, float, float], bool], most: int,
) -> dict[str, float] | None:  # fmt: skip
    """Depth first over the operators, the finest scales first."""
    tries = 0

    def extend(position: int, chosen: dict[str, float]) -> dict[str, float] | None:
        nonlocal tries
        if position == len(constraints):
            return chosen
        constraint = constraints[position]
        known = {**fixed, **chosen}
        free = [group for group in dict.fromkeys(constraint.groups) if group not in known]
        choices = [[scale for scale in candidates(wanted[group]) if acceptable(group, scale)] for group in free]
        check = rounds_alike if constraint.op == "LEAKY_RELU" else agree
        for scales in _by_coarseness(choices):
            tries += 1
            if tries > most:
                return None
            trial = dict(zip(free, scales, strict=True))
            values = {**known, **trial}
            first, second, output = (values[group] for group in constraint.groups)
            if check(constraint.op, first, second, output, constraint.slope):
                solution = extend(position + 1, {**chosen, **trial})
                if solution is not None:
                    return solution
        return None

    return extend(0, {})


def _round_numbers(wanted: float) -> list[float]:
    """The finest scales 3^i * 5^j * 2^k that are not below `wanted`."""
    exponent = math.floor(math.log2(wanted))
    values = (m * 2.0 ** (exponent + shift) for shift in (0, 1) for m in _MANTISSAS)
    return [value for value in values if value >= wanted][:_CANDIDATES]


def _near_numbers(wanted: float) -> list[float]:
    """`wanted` itself, in single precision, and scales that are a little coarser."""
    return [wanted, *(float(np.float32(wanted * COARSER**i)) for i in range(1, _STEPS))]


def _by_coarseness(choices: Sequence[Sequence[float]]) -> Iterator[tuple[float, ...]]:
    """All combinations, those whose scales are finest together first."""
    ranks = itertools.product(*(range(len(options)) for options in choices))
    for rank in sorted(ranks, key=sum):
        yield tuple(options[i] for options, i in zip(choices, rank, strict=True))
