"""The blocks of a memory plan, and how far apart they have to be: tensors inside others, parts that die before the rest.

A block is a root with all tensors that lie inside it. Its bytes have lifetimes of their own, from the operator that writes
them first to the one that reads them last, whatever tensor each of the two sees: rows of an image die band by band, rows of
a result are born band by band.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from firmware_sim.lifetimes import UNSET, Lifetimes
from firmware_sim.memory.elements import round_up, tensor_bytes
from firmware_sim.memory.head import HeadBuffer
from firmware_sim.model import Model, Operator, Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.rules import rules
from firmware_sim.overlap.views import KINDS, View, copied, cut, views
from firmware_sim.planners.problem import Allowance, Block, Part, Problem, Segment, problem

Key = tuple[int, int]
"""Subgraph and tensor."""

Distances = Sequence[Sequence[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Layout:
    """A planning problem, where in its blocks the tensors lie (block, bytes behind its beginning), and the views."""

    problem: Problem
    places: Mapping[Key, tuple[int, int]]
    views: Mapping[int, View] = field(default_factory=dict)


def separate(buffers: Sequence[HeadBuffer], scratch: Sequence[Block]) -> Layout:
    """Every tensor a block, nothing shared while it is in use."""
    blocks, places = _whole(buffers, 0)
    return Layout(problem([*blocks, *scratch]), places)


def _whole(buffers: Sequence[HeadBuffer], start: int) -> tuple[list[Block], dict[Key, tuple[int, int]]]:
    """Tensors as blocks, numbered from `start` on, and their places in them."""
    requests = [buffer.request for buffer in buffers]
    blocks = [Block.whole(one.size_bytes, one.first, one.last) for one in requests]
    return blocks, {(buffer.subgraph, buffer.index): (number, 0) for number, buffer in enumerate(buffers, start)}


def layout(
    model: Model,
    tensors: Sequence[Tensor],
    buffers: Sequence[HeadBuffer],
    times: Lifetimes,
    scratch: Sequence[Block],
    distances: Distances,
    kinds: Collection[str] = KINDS,
    ties: Mapping[int, int] | None = None,
) -> Layout:
    """Blocks of a model, in which outputs of the first subgraph may overlap the inputs that die there.

    Tensors of called subgraphs share nothing while TFLM takes them to be in use: they are written from outside, time and
    again.

    Args:
        model: the model.
        tensors: its tensors with the shapes that the kernels see.
        buffers: those of all subgraphs that the plan places.
        times: lifetimes as TFLM sees them, by which it places scratch buffers.
        scratch: a block for each operator that asks for scratch buffers.
        distances: see `distances`.
        kinds: see `firmware_sim.overlap.views.views`.
        ties: tensors that have to be where others are, which are in use at other times.
    """
    planned = {buffer.index: buffer for buffer in buffers if buffer.subgraph == 0}
    called = [buffer for buffer in buffers if buffer.subgraph != 0]
    found = {index: view for index, view in _views(model, tensors, planned, kinds).items() if index in planned}
    uses = _uses(model, tensors, found, times)
    tied = ties or {}
    members: dict[int, list[Sequence[_Use]]] = {}
    for root, one in uses.items():
        members.setdefault(tied.get(root, root), []).append(one)
    found = {index: View(tied.get(view.root, view.root), view.offset_bytes) for index, view in found.items()}
    number = {root: position for position, root in enumerate(members)}
    blocks = [_block(root, found, planned, one) for root, one in members.items()]
    allowances = list(_allowances(model, tensors, found, number, blocks, times, distances))
    others, other_places = _whole(called, len(blocks))
    puzzle = problem([*blocks, *others, *scratch], allowances)
    apart = {key: round_up(distance) for key, distance in puzzle.apart.items()}
    _around_scratch(apart, scratch, len(blocks) + len(called), found, number, planned)
    places = {(0, index): (number[view.root], view.offset_bytes) for index, view in found.items()}
    return Layout(replace(puzzle, apart=apart), {**places, **other_places}, found)


def _views(
    model: Model, tensors: Sequence[Tensor], planned: Mapping[int, HeadBuffer], kinds: Collection[str]
) -> dict[int, View]:
    found = views(model.subgraphs[0], tensors, kinds)
    return {index: view if view.root in planned else View(index, 0) for index, view in found.items()}


class _Use(NamedTuple):
    """Bytes of a root that are in use from one time to another."""

    start: int
    end: int
    first: int
    last: int


def _uses(
    model: Model, tensors: Sequence[Tensor], found: Mapping[int, View], times: Lifetimes
) -> dict[int, list[_Use]]:
    """Per root when its bytes are written and read."""
    subgraph = model.subgraphs[0]
    uses: dict[int, list[_Use]] = {view.root: [] for view in found.values()}

    def use(index: int, start: int, end: int, first: int, last: int) -> None:
        if index in found:
            root, offset = found[index]
            uses[root].append(_Use(offset + start, offset + end, first, last))

    for index in found:
        lifetime = times.tensors[0][index]
        born = max(lifetime.first, 0) if lifetime.last != UNSET else lifetime.first
        use(index, 0, tensor_bytes(tensors[index]), born, born)
    for operator in subgraph.operators:
        time = times.operators[0, operator.index].last  # an operator that calls others returns then
        for index in dict.fromkeys(operator.inputs):
            if index in found:
                start, count = _read(operator, index, tensors)
                use(index, start, start + count, time, time)
        for index in operator.outputs:
            if index in found:
                use(index, 0, tensor_bytes(tensors[index]), times.operators[0, operator.index].first, time)
    for index in subgraph.outputs:
        if index in found:
            ends = times.tensors[0][index].last
            use(index, 0, tensor_bytes(tensors[index]), ends, ends)
    return uses


def _read(operator: Operator, index: int, tensors: Sequence[Tensor]) -> tuple[int, int]:
    """Where the bytes of an input begin that an operator reads, and how many they are."""
    if index == operator.inputs[0]:
        start = cut(operator, tensors)
        start = copied(operator, tensors) if start is None else start
        if start is not None:
            return start, tensor_bytes(tensors[operator.outputs[0]])
    return 0, tensor_bytes(tensors[index])


def _block(
    root: int, found: Mapping[int, View], planned: Mapping[int, HeadBuffer], members: Sequence[Sequence[_Use]]
) -> Block:
    """A root as TFLM sees it: what lies inside may end behind it, where its size is rounded up.

    `members` are the uses of the root, and of others that have its place at other times.
    """
    size = max(
        view.offset_bytes + planned[index].request.size_bytes for index, view in found.items() if view.root == root
    )
    return Block(round_up(size), tuple(segment for uses in members for segment in _segments(uses)))


def _segments(uses: Sequence[_Use]) -> list[Segment]:
    edges = sorted({edge for use in uses for edge in (use.start, use.end)})
    segments: list[Segment] = []
    for start, end in pairwise(edges):
        covering = [use for use in uses if use.start <= start and end <= use.end]
        if not covering:
            continue
        span = min(use.first for use in covering), max(use.last for use in covering)
        if segments and segments[-1].end == start and (segments[-1].first, segments[-1].last) == span:
            segments[-1] = Segment(segments[-1].start, end, *span)
        else:
            segments.append(Segment(start, end, *span))
    return segments


def _allowances(
    model: Model,
    tensors: Sequence[Tensor],
    found: Mapping[int, View],
    number: Mapping[int, int],
    blocks: Sequence[Block],
    times: Lifetimes,
    distances: Distances,
) -> Iterator[Allowance]:
    """What an operator may write over: the bytes of its inputs that are read no more."""
    for operator in model.subgraphs[0].operators:
        output = operator.outputs[0] if len(operator.outputs) == 1 else -1
        if output not in found:
            continue
        time = times.operators[0, operator.index].first
        for index, distance in distances[operator.index]:
            if index not in found or found[index].root == found[output].root:
                continue
            above, below = found[index], found[output]
            uppers = _touched(blocks[number[above.root]], above.offset_bytes, tensor_bytes(tensors[index]))
            lowers = _touched(blocks[number[below.root]], below.offset_bytes, tensor_bytes(tensors[output]))
            for upper, one in uppers:
                for lower, other in lowers if one.last == time else ():
                    if other.first == time:
                        # The distance is from the beginning of the one tensor to that of the other.
                        apart = distance + one.start - above.offset_bytes - other.start + below.offset_bytes
                        yield Allowance(
                            Part(number[above.root], upper),
                            Part(number[below.root], lower),
                            min(apart, other.end - other.start),
                        )


def distances(model: Model, tensors: Sequence[Tensor], kernels: str) -> Distances:
    """What each operator of the first subgraph may write over, as (input, least distance above the output)."""
    return [tuple(_distances(operator, tensors, kernels)) for operator in model.subgraphs[0].operators]


def _distances(operator: Operator, tensors: Sequence[Tensor], kernels: str) -> Iterator[tuple[int, int]]:
    start = cut(operator, tensors)
    if start is not None:
        # Element by element, upwards: a byte is read before anything is written behind it.
        yield operator.inputs[0], -start
        return
    chosen = rules(operator, tensors, kernels)
    for index in dict.fromkeys(index for rule in chosen for index in rule.inputs):
        distance = distance_bytes(chosen, index)
        if distance is not None:
            yield index, distance


def _touched(block: Block, start: int, count: int) -> list[tuple[int, Segment]]:
    return [
        (position, segment)
        for position, segment in enumerate(block.segments)
        if segment.start < start + count and start < segment.end
    ]


def _around_scratch(
    apart: dict[tuple[int, int], int],
    scratch: Sequence[Block],
    start: int,
    found: Mapping[int, View],
    number: Mapping[int, int],
    planned: Mapping[int, HeadBuffer],
) -> None:
    """TFLM keeps scratch buffers away from whole tensors for as long as it believes them to be in use."""
    for position, block in enumerate(scratch, start):
        (segment,) = block.segments
        for index, view in found.items():
            request = planned[index].request
            if max(request.first, 0) <= segment.last and segment.first <= request.last:
                one = number[view.root]
                above = round_up(view.offset_bytes + request.size_bytes)
                below = round_up(block.size_bytes - view.offset_bytes)
                apart[position, one] = max(apart.get((position, one), above), above)
                apart[one, position] = max(apart.get((one, position), below), below)
