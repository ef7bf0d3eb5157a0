"""The arena of a network made of parts that follow each other, from what each part takes by itself.

A search prices many networks that share most of their parts. Each part goes through the account of the tail once; a network
is then a row of parts. This is exact: the kernels of a part see nothing outside it, each phase allocates for one part after
the other, and how far the allocations of a part lower the tail depends on where it stood only by the remainder that it
left of the largest alignment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from firmware_sim.digest import Digest
from firmware_sim.errors import InternalError
from firmware_sim.lifetimes import UNSET, lifetimes
from firmware_sim.memory.elements import ALIGNMENT_BYTES, round_up
from firmware_sim.memory.head import head_buffers
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import Simulation
from firmware_sim.model import Model, Subgraph
from firmware_sim.planners import BufferRequest, get, peak_bytes
from firmware_sim.planners.bounds import lower_bound_bytes
from firmware_sim.profiles import Profile

_UNPLANNED: Final = OfflinePlan(())
_Allocation = tuple[int, int]  # bytes, alignment


class Link:
    """One part: what its operators allocate, and its buffers at the times that they have within it.

    Args:
        model: the part as a model by itself: one map in, one map out, no variables, no plan, no control flow.
        profile: build of TFLM.
    """

    def __init__(self, model: Model, profile: Profile) -> None:
        (subgraph,) = model.subgraphs
        (self.entering,), (self.leaving,) = subgraph.inputs, subgraph.outputs
        self.tensors = len(subgraph.tensors) - 1
        self.operators = len(subgraph.operators)
        run = _Recording(model, profile)
        self.phases = [_Phase(run.recorded(phase)) for phase in (run.builtin_data, run.initialise, run.prepare)]
        self.first, self.last = (run.tail.tensors[0][index] for index in (self.entering, self.leaving))
        # The maps between two parts live as long as the operators on both sides need them: here, those of this part.
        inside = model.replaced(subgraphs=(subgraph.replaced(inputs=(), outputs=()),))
        buffers = head_buffers(inside.subgraphs, run.tail.tensors, run.tail.scratch, lifetimes(inside), _UNPLANNED)
        self.maps = {buffer.index: buffer.request for buffer in buffers if buffer.kind == "tensor"}
        self.scratch = [buffer.request for buffer in buffers if buffer.kind == "scratch"]


class _Recording(Simulation):
    """Notes what is allocated."""

    def __init__(self, model: Model, profile: Profile) -> None:
        super().__init__(model, profile, _UNPLANNED)
        self._noted: list[_Allocation] = []

    def recorded(self, phase: Callable[[], None]) -> tuple[_Allocation, ...]:
        """What a phase allocates."""
        self._noted.clear()
        phase()
        return tuple(self._noted)

    def allocate(self, count: int, align: int) -> None:
        super().allocate(count, align)
        self._noted.append((count, align))


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


def total_bytes(links: Sequence[Link], profile: Profile, *, most: int | None = None) -> int:
    """Arena that TFLM uses for the network of `links`, one behind the other.

    Args:
        links: its parts, each of which takes what the one before it gives.
        profile: build of TFLM, for which the parts were made.
        most: where the arena is larger than that, any figure that is will do, and the plan is not made.
    """
    tail_bytes = _tail_bytes(links, profile)
    requests = _requests(links)
    least = tail_bytes + lower_bound_bytes(requests)
    if most is not None and least > most:
        return least
    return tail_bytes + peak_bytes(requests, get("greedy")(requests))


def _tail_bytes(links: Sequence[Link], profile: Profile) -> int:
    ends = Subgraph((links[0].first, links[-1].last), (), (0,), (1,))
    run = Simulation(Model("", Digest(None), 0, "", (ends,)), profile, _UNPLANNED)
    run.interpreter()
    run.model_structures([1 + sum(link.tensors for link in links)], [sum(link.operators for link in links)])
    for phases in zip(*(link.phases for link in links), strict=True):
        for phase in phases:
            run.tail.used_bytes = phase.after(run.tail.used_bytes)
    run.scratch_handles(sum(len(link.scratch) for link in links))
    run.endpoints(ends.inputs)
    run.endpoints(ends.outputs)
    return run.tail.used_bytes


def _requests(links: Sequence[Link]) -> list[BufferRequest]:
    """The buffers of the network in the order of TFLM: its input, the maps of one part after the other, then scratch."""
    time = 0
    entering = links[0].maps[links[0].entering]
    maps = [BufferRequest(entering.size_bytes, 0, 0, None)]
    scratch: list[BufferRequest] = []
    current = 0
    for link in links:
        source = current
        for index, request in link.maps.items():
            if index == link.entering:
                maps[source] = _until(maps[source], request.last, time)
                continue
            if index == link.leaving:
                current = len(maps)
            maps.append(_moved(request, time))
        scratch += [_moved(request, time) for request in link.scratch]
        time += link.operators
    maps[current] = _until(maps[current], time, 0)
    return maps + scratch


def _until(request: BufferRequest, last: int, time: int) -> BufferRequest:
    """A map that is also needed at `last`, counted from `time`."""
    if last == UNSET:
        return request
    return BufferRequest(request.size_bytes, request.first, max(request.last, last + time), None)


def _moved(request: BufferRequest, time: int) -> BufferRequest:
    if request.first == UNSET:
        return request
    return BufferRequest(request.size_bytes, request.first + time, request.last + time, None)
