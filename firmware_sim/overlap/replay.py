"""Checks a finished plan by replaying every operator: bytes written against bytes that are still to be read.

It knows in which steps a kernel works (`firmware_sim.overlap.rules`) and nothing of the planner or of its distances: for
each byte of an input it finds the last step that reads it, for each byte of the output the step that writes it, and
compares the two where they share an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_sim.memory.elements import element_bytes, tensor_bytes
from firmware_sim.model import Operator, Subgraph, Tensor
from firmware_sim.overlap.rules import Rule, rules
from firmware_sim.overlap.windows import Axis, Windows


@dataclass(frozen=True, slots=True)
class Damage:
    """Operator `operator` overwrites bytes of tensor `victim` with its output `writer` while they are needed."""

    operator: int
    writer: int
    victim: int


def replay(
    subgraph: Subgraph, tensors: Sequence[Tensor], places: Mapping[int, int], kernels: str | None
) -> tuple[Damage, ...]:
    """What a plan breaks in one run of a subgraph; empty if it is safe.

    Args:
        subgraph: operators in the order of their execution.
        tensors: its tensors with the shapes that the kernels see.
        places: tensor to its offset, for every tensor in the planned memory.
        kernels: the kernel class that is to run it; None for unknown kernels, with which nothing may share bytes.
    """
    last_read = {index: len(subgraph.operators) for index in subgraph.outputs}
    for position, operator in enumerate(subgraph.operators):
        for index in operator.inputs:
            last_read[index] = max(last_read.get(index, -1), position)
    live = {index for index in subgraph.inputs if index in places}
    # Planned but written by no operator: taken to be in use from the start.
    live |= {index for index in places if index in last_read} - {i for o in subgraph.operators for i in o.outputs}
    found = [Damage(-1, *pair) for pair in _share(live, tensors, places)]
    for position, operator in enumerate(subgraph.operators):
        live = {index for index in live if last_read.get(index, -1) >= position}
        dying = {index for index in live if last_read[index] == position and index in operator.inputs}
        outputs = [index for index in operator.outputs if index in places]
        for output in outputs:
            for other in live | (set(outputs) - {output}):
                if not _overlap(tensors[output], tensors[other], places):
                    continue
                is_safe = (
                    kernels is not None
                    and other in dying
                    and all(
                        _is_safe(rule, operator, tensors, output, other, places)
                        for rule in rules(operator, tensors, kernels)
                    )
                )
                if not is_safe:
                    found.append(Damage(position, output, other))
        live |= set(outputs)
    return tuple(found)


def _share(live: set[int], tensors: Sequence[Tensor], places: Mapping[int, int]) -> list[tuple[int, int]]:
    ordered = sorted(live)
    return [
        (one, other)
        for position, one in enumerate(ordered)
        for other in ordered[position + 1 :]
        if _overlap(tensors[one], tensors[other], places)
    ]


def _overlap(one: Tensor, other: Tensor, places: Mapping[int, int]) -> bool:
    first, second = places[one.index], places[other.index]
    return first < second + tensor_bytes(other) and second < first + tensor_bytes(one)


def _is_safe(
    rule: Rule, operator: Operator, tensors: Sequence[Tensor], output: int, victim: int, places: Mapping[int, int]
) -> bool:
    """Whether every shared byte is written after the last step that reads it."""
    if victim not in rule.inputs or rule.step == "apart":
        return False
    shift = places[victim] - places[output]
    if rule.step == "copy":
        return shift == 0 and tensor_bytes(tensors[output]) == tensor_bytes(tensors[victim])
    if rule.windows is None:
        written = _steps(tensors[output].elements, element_bytes(tensors[output]))
        read = _steps(tensors[victim].elements, element_bytes(tensors[victim]))
        may_write_in_its_step = True  # an element is read as a whole before its result is stored
    else:
        written, read = _written(rule.windows, rule), _read(rule.windows, rule)
        may_write_in_its_step = False
    start, end = max(shift, 0), min(shift + len(read), len(written))
    writes, reads = written[start:end], read[start - shift : end - shift]
    return bool(np.all(writes >= reads) if may_write_in_its_step else np.all(writes > reads))


def _steps(elements: int, width: int) -> NDArray[np.int64]:
    """The step that handles each byte, where a step is an element."""
    return np.repeat(np.arange(elements), width)


def _written(geometry: Windows, rule: Rule) -> NDArray[np.int64]:
    pixels = np.arange(geometry.batches * geometry.height.out * geometry.width.out)
    return np.repeat(_step_of(pixels, geometry, rule), geometry.out_bytes)


def _read(geometry: Windows, rule: Rule) -> NDArray[np.int64]:
    """The last step that reads each byte of the input; -1 for bytes that no window covers."""
    rows, columns = _last_cover(geometry.height), _last_cover(geometry.width)
    one = rows[:, None] * geometry.width.out + columns[None, :]
    one[(rows[:, None] < 0) | (columns[None, :] < 0)] = -1
    image = geometry.height.out * geometry.width.out
    pixels = np.concatenate(
        [np.where(one < 0, -1, one + batch * image).reshape(-1) for batch in range(geometry.batches)]
    )
    steps = np.where(pixels < 0, -1, _step_of(pixels, geometry, rule))
    return np.repeat(steps, geometry.in_bytes)


def _step_of(pixels: NDArray[np.int64], geometry: Windows, rule: Rule) -> NDArray[np.int64]:
    return pixels // (geometry.width.out if rule.step == "row" else rule.count)


def _last_cover(axis: Axis) -> NDArray[np.int64]:
    """The last output whose window has a tap on each input row or column; -1 if none has."""
    last = np.full(axis.size, -1, np.int64)
    for out in range(axis.out):
        taps = out * axis.stride - axis.pad + axis.dilation * np.arange(axis.kernel)
        last[taps[(taps >= 0) & (taps < axis.size)]] = out
    return last
