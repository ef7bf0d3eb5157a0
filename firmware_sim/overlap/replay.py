"""Checks a finished plan by replaying every operator in memory: what each byte holds when it is read.

Every byte that an operator computes gets a number of its own; copying operators pass numbers on. So memory is followed byte
by byte, whichever tensors lie inside others: an input is damaged if a byte of it holds another number than was written for
it. Within one operator it counts in which steps its kernel works (`firmware_sim.overlap.rules`): for each byte of an input
the last step that reads it, for each byte of the output the step that writes it. The replay knows nothing of the planner
or of its distances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firmware_sim.memory.elements import element_bytes, tensor_bytes
from firmware_sim.model import Operator, Subgraph, Tensor
from firmware_sim.overlap.rules import Rule, rules
from firmware_sim.overlap.storage import UNWRITTEN, Contents, Storage, misplaced
from firmware_sim.overlap.views import cut, parts, same_bytes
from firmware_sim.overlap.windows import Axis, Windows

Bytes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Damage:
    """Operator `operator` overwrites bytes of tensor `victim` with its output `writer` while they are needed.

    -1 stands for the time before the first operator.
    """

    operator: int
    writer: int
    victim: int


NOT_FOLLOWED = Damage(-1, -1, -1)
"""Stands for whatever may be wrong with a plan that nobody can follow."""

# Far beyond any microcontroller; each byte takes eight while it is followed.
_MOST_BYTES = 1 << 27


def replay(
    subgraph: Subgraph,
    tensors: Sequence[Tensor],
    places: Mapping[int, int],
    kernels: str | None,
    storages: Sequence[Storage] = (),
) -> tuple[Damage, ...]:
    """What a plan breaks in one run of a subgraph; empty if it is safe, `NOT_FOLLOWED` if there is too much to follow.

    Args:
        subgraph: operators in the order of their execution.
        tensors: its tensors with the shapes that the kernels see.
        places: tensor to its offset, for every tensor in the planned memory.
        kernels: the kernel class that is to run it; None for unknown kernels, with which nothing may share bytes.
        storages: tensors that share memory though no operator says so; the plan has to put them there.
    """
    if _handled_bytes(subgraph, tensors, places, storages) > _MOST_BYTES:
        return (NOT_FOLLOWED,)
    read = {index for operator in subgraph.operators for index in operator.inputs} | set(subgraph.outputs)
    written = {index for operator in subgraph.operators for index in operator.outputs}
    linked = {index for storage in storages for index in storage}.difference(subgraph.inputs)
    memory = _Memory(tensors, places, Contents(storages, tensors))
    found = [Damage(-1, index, index) for index in misplaced(storages, places)]
    # Planned but written by no operator: taken to be in use from the start, as inputs are.
    start = sorted(index for index in places if index in subgraph.inputs or (index in read - written - linked))
    for position, index in enumerate(start):
        shared = [other for other in start[:position] if memory.meet(index, other)]
        found.extend(Damage(-1, other, index) for other in shared)
        memory.write(index, memory.fresh(index), -1)
    for position, operator in enumerate(subgraph.operators):
        steps = _steps_of(operator, tensors, kernels)
        for index in dict.fromkeys(operator.inputs):
            if index in places:
                found.extend(memory.damage(index, steps.read_at_all(index)))
        for output in dict.fromkeys(operator.outputs):
            if output in places:
                found.extend(
                    Damage(position, output, index)
                    for index in dict.fromkeys(operator.inputs)
                    if index in places and memory.meet(index, output) and not steps.are_safe(output, index, places)
                )
        for output in operator.outputs:
            memory.write(output, memory.passed_on(operator, output), position)
    for index in subgraph.outputs:
        if index in places:
            found.extend(memory.damage(index, None))
    return tuple(dict.fromkeys(found))


def meet(tensors: Sequence[Tensor], places: Mapping[int, int], one: int, other: int) -> bool:
    """Two tensors share bytes."""
    first, second = places[one], places[other]
    return first < second + tensor_bytes(tensors[other]) and second < first + tensor_bytes(tensors[one])


def _handled_bytes(
    subgraph: Subgraph, tensors: Sequence[Tensor], places: Mapping[int, int], storages: Sequence[Storage]
) -> int:
    written = [index for operator in subgraph.operators for index in operator.outputs]
    ends = [place + tensor_bytes(tensors[index]) for index, place in places.items()]
    ends += [offset + tensor_bytes(tensors[index]) for storage in storages for index, offset in storage.items()]
    return max(ends, default=0) + sum(tensor_bytes(tensors[index]) for index in (*written, *places) if index >= 0)


@dataclass(slots=True)
class _Memory:
    """What is where and who wrote it there last, and what should be. `writers` are operators and their outputs."""

    tensors: Sequence[Tensor]
    places: Mapping[int, int]
    expected: Contents
    bytes: Bytes = field(init=False)
    written_by: Bytes = field(init=False)
    writers: list[tuple[int, int]] = field(default_factory=list)
    next: int = 0

    def __post_init__(self) -> None:
        size = max((place + tensor_bytes(self.tensors[index]) for index, place in self.places.items()), default=0)
        self.bytes = np.full(size, UNWRITTEN, np.int64)
        self.written_by = np.zeros(size, np.int64)

    def meet(self, one: int, other: int) -> bool:
        """Two tensors share bytes."""
        return meet(self.tensors, self.places, one, other)

    def fresh(self, index: int) -> Bytes:
        """Numbers that nothing else has."""
        count = tensor_bytes(self.tensors[index])
        self.next += count
        return np.arange(self.next - count, self.next)

    def write(self, index: int, numbers: Bytes, operator: int) -> None:
        """What a tensor holds from now on."""
        self.expected.write(index, numbers)
        if index in self.places:
            place = self.places[index]
            self.bytes[place : place + len(numbers)] = numbers
            self.written_by[place : place + len(numbers)] = len(self.writers)
            self.writers.append((operator, index))

    def passed_on(self, operator: Operator, output: int) -> Bytes:
        """What an operator writes: the numbers of its input where it copies, else new ones."""
        start = cut(operator, self.tensors)
        start = same_bytes(operator, self.tensors) if start is None else start
        if start is not None:
            whole = self.expected.of(operator.inputs[0])
            count = tensor_bytes(self.tensors[output])
            # A copy within a storage changes what it is taken from.
            return self.fresh(output) if whole is None else whole[start : start + count].copy()
        numbers = self.fresh(output)
        for index, offset in parts(operator, self.tensors).items():
            part = self.expected.of(index)
            if part is not None:
                numbers[offset : offset + len(part)] = part
        return numbers

    def damage(self, index: int, read: NDArray[np.bool_] | None) -> list[Damage]:
        """Who overwrote what is read of a tensor (None: all of it)."""
        expected = self.expected.of(index)
        if expected is None:
            return []  # read before it is written: whatever is there is as good as anything else
        place = self.places[index]
        found = self.bytes[place : place + len(expected)]
        wrong = (found != expected) | (expected == UNWRITTEN)
        if read is not None:
            wrong &= read
        if UNWRITTEN in expected[wrong] or UNWRITTEN in found[wrong]:
            return [Damage(-1, index, index)]
        writers = [self.writers[number] for number in np.unique(self.written_by[place : place + len(expected)][wrong])]
        # What shares bytes from the start has been named there.
        return [Damage(operator, writer, index) for operator, writer in sorted(writers) if operator >= 0]


@dataclass(frozen=True, slots=True)
class _Steps:
    """In which order one operator reads and writes, for each of the kernels that may run it."""

    operator: Operator
    tensors: Sequence[Tensor]
    rules: tuple[Rule, ...] | None

    def read_at_all(self, index: int) -> NDArray[np.bool_] | None:
        """The bytes of an input that are read; None for all."""
        start = cut(self.operator, self.tensors)
        if start is not None and index == self.operator.inputs[0]:
            mask = np.zeros(tensor_bytes(self.tensors[index]), np.bool_)
            mask[start : start + tensor_bytes(self.tensors[self.operator.outputs[0]])] = True
            return mask
        windows = [rule.windows for rule in self.rules or () if rule.windows is not None and index in rule.inputs]
        return _read(windows[0], Rule("pixel")) >= 0 if windows else None

    def are_safe(self, output: int, victim: int, places: Mapping[int, int]) -> bool:
        """Every byte of an input that the output overwrites is read before."""
        if self.rules is None:
            return False
        shift = places[victim] - places[output]
        start = cut(self.operator, self.tensors)
        if start is not None and victim == self.operator.inputs[0]:
            # Element by element, upwards (kernels/slice.cc): what is written lies where it is read, or below, or apart.
            return shift + start >= 0 or -shift - start >= tensor_bytes(self.tensors[output])
        if victim in parts(self.operator, self.tensors):
            return self._joins(output, victim, places)
        return all(_is_safe(rule, self.tensors, output, victim, places) for rule in self.rules)

    def _joins(self, output: int, victim: int, places: Mapping[int, int]) -> bool:
        """A CONCATENATION copies one input after the other with memcpy: onto itself, or over what has been copied."""
        inputs = self.operator.inputs
        start = places[victim] - places[output]
        end = start + tensor_bytes(self.tensors[victim])
        last = max(position for position, index in enumerate(inputs) if index == victim)
        low = 0
        for index in inputs[: last + 1]:
            high = low + tensor_bytes(self.tensors[index])
            is_itself = index in places and places[index] - places[output] == low
            if start < high and low < end and not is_itself:
                return False
            low = high
        return True


def _steps_of(operator: Operator, tensors: Sequence[Tensor], kernels: str | None) -> _Steps:
    return _Steps(operator, tensors, None if kernels is None else rules(operator, tensors, kernels))


def _is_safe(rule: Rule, tensors: Sequence[Tensor], output: int, victim: int, places: Mapping[int, int]) -> bool:
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
        start = out * axis.stride - axis.pad
        end = min(start + (axis.kernel - 1) * axis.dilation + 1, axis.size)
        inside = start if start >= 0 else start % axis.dilation  # the first tap that is not in front of the map
        last[inside : max(end, inside) : axis.dilation] = out
    return last
