"""The arena of a network made of parts, from what each part takes by itself.

A search prices many networks that share most of their parts, which may be as small as one operator. Each part goes through
the account of the tail once; a network is then a row of parts. This is exact: the kernels of a part see nothing outside it,
each phase allocates for one part after the other, and how far the allocations of a part lower the tail depends on where it
stood only by the remainder that it left of the largest alignment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from firmware_sim.digest import Digest
from firmware_sim.errors import InternalError
from firmware_sim.lifetimes import UNSET, lifetimes
from firmware_sim.memory.elements import ALIGNMENT_BYTES, round_up, tensor_bytes
from firmware_sim.memory.head import head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import Simulation
from firmware_sim.model import Model, Operator, Subgraph, Tensor
from firmware_sim.planners import BufferRequest, get, peak_bytes
from firmware_sim.planners.bounds import lower_bound_bytes
from firmware_sim.profiles import Profile

_UNPLANNED: Final = OfflinePlan(())
_Allocation = tuple[int, int]  # bytes, alignment


class Link(NamedTuple):
    """One part: what its operators allocate, and its buffers at the times that they have within it.

    Attributes:
        entering, leaving: which of its tensors are the maps that it takes, and gives.
        phases: its allocations in each of TFLM's phases.
        maps: the buffers of its tensors; those between two parts live as long as the operators on both sides need them, here
            those of this part.
        scratch: its scratch buffers.
        ends: the tensors of the maps that it takes and gives, by index.
        tensors, operators: how many it has; a map that it takes belongs to the part that gives it.
    """

    entering: tuple[int, ...]
    leaving: tuple[int, ...]
    phases: tuple[_Phase, ...]
    maps: Mapping[int, BufferRequest]
    scratch: Sequence[BufferRequest]
    ends: Mapping[int, Tensor]
    tensors: int
    operators: int


def part(model: Model, profile: Profile) -> Link:
    """A model as a part of networks.

    Args:
        model: without variables, plan and control flow. Its inputs are the maps that other parts give, or the caller; its
            outputs are what others take.
        profile: build of TFLM.
    """
    (subgraph,) = model.subgraphs
    run = _Recording(model, profile)
    inside = model.replaced(subgraphs=(subgraph.replaced(inputs=(), outputs=()),))
    buffers = head_buffers(inside.subgraphs, run.tail.tensors, run.tail.scratch, lifetimes(inside), _UNPLANNED)
    return Link(
        subgraph.inputs,
        subgraph.outputs,
        tuple(_Phase([made for each in phase for made in each]) for phase in run.phases),
        {buffer.index: buffer.request for buffer in buffers if buffer.kind == "tensor"},
        [buffer.request for buffer in buffers if buffer.kind == "scratch"],
        {index: run.tail.tensors[0][index] for index in (*subgraph.inputs, *subgraph.outputs)},
        len(subgraph.tensors) - len(subgraph.inputs),
        len(subgraph.operators),
    )


def operators(model: Model, profile: Profile) -> list[Link]:
    """Each operator of a model as a part of networks; arguments are those of `part`."""
    run = _Recording(model, profile)
    (tensors,) = run.tail.tensors
    links = []
    for operator in model.subgraphs[0].operators:
        constants = {index for index in operator.inputs if index >= 0 and tensors[index].data is not None}
        read = tuple(dict.fromkeys(index for index in operator.inputs if index >= 0 and index not in constants))
        ends = {index: tensors[index] for index in (*read, *operator.outputs)}
        maps = {index: _buffer(tensor_bytes(end), UNSET if index in read else 1) for index, end in ends.items()}
        scratch = [_buffer(request.bytes, 1) for request in run.tail.scratch if request.operator == operator.index]
        phases = tuple(_Phase(phase[operator.index]) for phase in run.phases)
        count = len(constants) + len(operator.outputs)
        links.append(Link(read, operator.outputs, phases, maps, scratch, ends, count, 1))
    return links


def _buffer(count: int, first: int) -> BufferRequest:
    """A buffer that the only operator of a part uses."""
    return BufferRequest(round_up(count), first, 1, None)


class _Recording(Simulation):
    """Notes what each operator allocates in each phase."""

    def __init__(self, model: Model, profile: Profile) -> None:
        super().__init__(model, profile, _UNPLANNED)
        self.phases = [self._recorded(phase) for phase in (self.builtin_data, self.initialise, self.prepare)]

    def _recorded(self, phase: Callable[[], None]) -> list[list[_Allocation]]:
        self._noted: list[list[_Allocation]] = []
        phase()
        return self._noted

    def operators(self) -> Iterator[tuple[int, Operator]]:
        for number, operator in super().operators():
            self._noted.append([])
            yield number, operator

    def allocate(self, count: int, align: int) -> None:
        super().allocate(count, align)
        self._noted[-1].append((count, align))


class _Phase:
    """The allocations of one part in one phase."""

    def __init__(self, allocations: Sequence[_Allocation]) -> None:
        if any(ALIGNMENT_BYTES % align for _, align in allocations):
            raise InternalError(f"an alignment does not divide {ALIGNMENT_BYTES}")
        self._allocations = allocations
        self._taken: dict[int, int] = {}

    def after(self, used_bytes: int) -> int:
        """The tail behind them, if it was `used_bytes` in front."""
        start = used_bytes % ALIGNMENT_BYTES
        taken = self._taken.get(start)
        if taken is None:
            end = start
            for count, align in self._allocations:
                end = round_up(end + count, align)
            taken = self._taken[start] = end - start
        return used_bytes + taken


class Step(NamedTuple):
    """A part in its network: the names there of the maps that it takes and gives, in the order of the part."""

    link: Link
    entering: Sequence[Hashable]
    leaving: Sequence[Hashable]


def total_bytes(
    links: Sequence[Link], profile: Profile, *, most: int | None = None, repeated: int = 0
) -> int:  # fmt: skip
    """Arena that TFLM uses for the network of `links`, one behind the other.

    Args:
        links: its parts, each of which takes the one map that the one before it gives.
        profile: build of TFLM, for which the parts were made.
        most: where the arena is larger than that, any figure that is will do, and the plan is not made.
        repeated: how many constants of a part the file does not store, since an equal one is there.
    """
    steps = [Step(link, (place,), (place + 1,)) for place, link in enumerate(links)]
    tensors = 1 + sum(link.tensors for link in links) - repeated
    first, last = links[0], links[-1]
    ends = {0: first.ends[first.entering[0]]}, {len(links): last.ends[last.leaving[0]]}
    return network_bytes(steps, profile, *ends, tensors=tensors, most=most)


def network_bytes(
    steps: Sequence[Step], profile: Profile, inputs: Mapping[Any, Tensor], outputs: Mapping[Any, Tensor], *,
    tensors: int, order: Iterable[Hashable] | None = None, most: int | None = None,
) -> int:  # fmt: skip
    """Arena that TFLM uses for a network of any parts.

    Args:
        steps: its parts, in the order in which they run.
        profile: build of TFLM, for which the parts were made.
        inputs, outputs: of the network, by name.
        tensors: how many the network has, constants included.
        order: the names of all maps in the order of the file; by default that in which they are met.
        most: see `total_bytes`.
    """
    maps, scratch = _requests(steps, inputs, outputs)
    requests = [*(maps.values() if order is None else map(maps.__getitem__, order)), *scratch]
    ends = tuple(inputs.values()), tuple(outputs.values())
    tail_bytes = _tail_bytes([step.link for step in steps], profile, tensors, len(scratch), *ends)
    if most is not None:
        least = tail_bytes + lower_bound_bytes(requests)
        if least > most:
            return least
    return tail_bytes + peak_bytes(requests, get("greedy")(requests))


def _tail_bytes(
    links: Sequence[Link], profile: Profile, tensors: int, scratch: int, inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
) -> int:  # fmt: skip
    ends = Subgraph(
        (*inputs, *outputs), (), tuple(range(len(inputs))), tuple(range(len(inputs), len(inputs + outputs)))
    )
    run = Simulation(Model("", Digest(None), 0, "", (ends,)), profile, _UNPLANNED)
    run.interpreter()
    run.model_structures([tensors], [sum(link.operators for link in links)])
    for phases in zip(*(link.phases for link in links), strict=True):
        for phase in phases:
            run.tail.used_bytes = phase.after(run.tail.used_bytes)
    run.scratch_handles(scratch)
    run.endpoints(ends.inputs)
    run.endpoints(ends.outputs)
    return run.tail.used_bytes


def _requests(
    steps: Sequence[Step], inputs: Mapping[Any, Tensor], outputs: Iterable[Hashable]
) -> tuple[dict[Hashable, BufferRequest], list[BufferRequest]]:
    """The buffers of the network at their times in it: maps by name, and scratch."""
    time = 0
    maps = {name: (round_up(tensor_bytes(tensor)), 0, 0) for name, tensor in inputs.items()}
    scratch: list[BufferRequest] = []
    for place, (link, entering, leaving) in enumerate(steps):
        names = dict(zip(link.entering + link.leaving, (*entering, *leaving), strict=True))
        for index, request in link.maps.items():
            name = names.get(index, (place, index))
            known = maps.get(name)
            if known is None:
                maps[name] = _moved(request, time)
            elif request.last != UNSET:
                size, first, last = known
                maps[name] = (size, first, max(last, request.last + time))
        for request in link.scratch:
            scratch.append(BufferRequest(*_moved(request, time), None))
        time += link.operators
    for name in outputs:
        maps[name] = (*maps[name][:2], time)
    return {name: BufferRequest(*each, None) for name, each in maps.items()}, scratch


def _moved(request: BufferRequest, time: int) -> tuple[int, int, int]:
    """Size, first and last time of a buffer of a part that begins at `time`."""
    if request.first == UNSET:
        return request.size_bytes, UNSET, request.last
    return request.size_bytes, request.first + time, request.last + time
