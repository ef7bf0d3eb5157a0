"""Which stages, and how high their bands: the cheapest choice with which no moment needs more than so many bytes.

Between two cuts a network is either computed as it is or in bands. For a stage and a limit, the bands are as high as the
limit allows, one after the other: that is the fewest, which cost the least in operators and in rows computed twice. The
first is the lowest, because all of the source is still there. Dynamic programming over the cuts puts stages together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

from firmware_sim.memory import sizes
from firmware_sim.memory.offline import OfflinePlan
from firmware_sim.memory.tail import tail
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.estimate import Distances, StageCosts
from firmware_sim.rewrite.bands.forms import EXPLICIT
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.heights import highest
from firmware_sim.rewrite.bands.line_costs import line_bandings, peak_bytes
from firmware_sim.rewrite.bands.pricing import Pricer
from firmware_sim.rewrite.bands.stage import Cuts, Stage, Turn, cuts
from firmware_sim.rewrite.order_costs import order_costs

_MOST_STATES: Final = 8  # choices kept per cut, none of them worse than another in both tail and multiplications
_MOST_LAYERS: Final = 30
# What a loop has beside the operators of a band: WHILE, SLICE, DYNAMIC_UPDATE_SLICE, two ADD and LESS with their tensors,
# data of kernels and builtin data, two subgraphs.
_LOOP_NODES: Final = 6
_LOOP_TENSORS: Final = 24
_LOOP_BYTES: Final = 250


_DEALS: Final[tuple[Callable[[int, int, int], tuple[int, ...]], ...]] = (
    lambda height, count, left: () if left else (height,) * count,
    lambda height, count, left: (*(height,) * count, left) if left else (),
    lambda height, count, left: (left, *(height,) * count) if left else (),
    lambda height, count, left: (*(height,) * (count - 1), height + left) if left else (),
    lambda height, count, left: (height + left, *(height,) * (count - 1)) if left else (),
)
"""Heights of so many bands and of what is left: nothing, a band behind or in front, part of the last or first band."""


class Choice(NamedTuple):
    """Stages in bands, with what they are reckoned to cost: bytes in use at most, and what they add to tail and MACs."""

    head_bytes: int
    tail_bytes: int
    macs: int
    bandings: tuple[Banding, ...]

    def then(self, other: Choice) -> Choice:
        """Both, one after the other."""
        return Choice(
            max(self.head_bytes, other.head_bytes),
            self.tail_bytes + other.tail_bytes,
            self.macs + other.macs,
            self.bandings + other.bandings,
        )


@dataclass
class Proposer:
    """Proposals for one draft."""

    pricer: Pricer
    known: dict[tuple[int, int], Stage | None] = field(default_factory=dict)
    costs: dict[tuple[int, int, frozenset[int]], StageCosts] = field(default_factory=dict)
    chosen: dict[tuple[int, int, int, bool, bool], list[Choice]] = field(default_factory=dict)
    lines: dict[Stage, list[Choice]] = field(default_factory=dict)
    alone: dict[Banding, Choice] = field(default_factory=dict)

    @cached_property
    def cuts(self) -> Cuts:
        """Cuts of the graph."""
        return cuts(self.pricer.draft.graphs[0])

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """Beginning, cuts, end."""
        count = len(self.cuts.layers)
        return tuple(p for p in range(count + 1) if p in (0, count) or self.cuts.tensors[p] is not None)

    @cached_property
    def _costs(self) -> tuple[list[int], Distances, dict[int, int], dict[int, int]]:
        draft, kernels = self.pricer.draft, self.pricer.kernels
        costs = order_costs(draft.model, kernels)
        graph = draft.graphs[0]
        last = {index: position for position, o in enumerate(graph.operators) for index in o.inputs if index >= 0}
        last.update(dict.fromkeys(graph.outputs, len(graph.operators)))
        live = set(graph.inputs)
        peaks = []
        for position, operator in enumerate(graph.operators):
            live = {index for index in live if last.get(index, -1) >= position}
            live.update(operator.outputs)
            ending = [index for index in dict.fromkeys(operator.inputs) if last.get(index) == position]
            shared = max((costs.shared_bytes.get((operator.index, index), 0) for index in ending), default=0)
            scratch = costs.scratch_bytes.get(operator.index, 0)
            peaks.append(sum(costs.sizes_bytes.get(index, 0) for index in live) - shared + scratch)
        return peaks, Distances(graph.tensors, kernels), dict(costs.scratch_bytes), dict(costs.sizes_bytes)

    @property
    def peaks(self) -> list[int]:
        """Bytes in use at each operator without bands."""
        return self._costs[0]

    def floor_bytes(self) -> int:
        """What bands cannot lower: the inputs, and operators that do not work row by row."""
        sizes_bytes = self._costs[3]
        graph = self.pricer.draft.graphs[0]
        fixed = [peak for peak, one in zip(self.peaks, self.cuts.layers, strict=True) if isinstance(one, str)]
        return max(sum(sizes_bytes.get(index, 0) for index in graph.inputs), *fixed, 0)

    def least_tail_bytes(self) -> int:
        """What any bands add to the tail: a slice and a concatenation, or a tensor where these are left out."""
        _, tensor, node = self._prices
        return 2 * (node + tensor) if self.pricer.form == EXPLICIT else tensor

    @cached_property
    def _prices(self) -> tuple[list[int], int, int]:
        """Tail of one more copy of each operator, of a tensor, and of an operator with nothing of its own."""
        profile = self.pricer.profile
        finished = tail(self.pricer.draft.model, profile, OfflinePlan(()))
        node = sizes.core(profile, "NodeAndRegistration").bytes
        tensor = sizes.core(profile, "TfLiteEvalTensor").bytes
        count = len(self.cuts.layers)
        copies = [finished.operators[0, index].persistent_bytes + node + tensor for index in range(count)]
        return copies, tensor, node

    def best(
        self,
        limit_bytes: int,
        most_macs: int,
        *,
        upward: tuple[bool, ...] = (False,),
        most: int = _MOST_STATES,
        in_loops: bool = False,
    ) -> list[Choice]:
        """The cheapest choices in which nothing needs more than the limit, by the tail; none where there is none.

        Args:
            limit_bytes: for the head.
            most_macs: multiply-accumulates that the bands may add.
            upward: whether each stage begins with its lowest rows, over and over.
            most: how many.
            in_loops: bands of one height as well, for loops.
        """
        states: dict[int, list[Choice]] = {0: [Choice(0, 0, 0, ())]}
        for number, position in enumerate(self.positions[:-1]):
            here = states.pop(position, [])
            if not here:
                continue
            following = self.positions[number + 1]
            peak_bytes = max(self.peaks[position:following])
            if peak_bytes <= limit_bytes:
                whole = Choice(peak_bytes, 0, 0, ())
                states.setdefault(following, []).extend(one.then(whole) for one in here)
            for end in self.positions[number + 1 :]:
                if end - position > _MOST_LAYERS:
                    break
                if max(self.peaks[position:end]) <= limit_bytes:
                    continue
                for one in here:
                    order = upward[len(one.bandings) % len(upward)]
                    states.setdefault(end, []).extend(
                        one.then(choice)
                        for choice in self.options(position, end - 1, limit_bytes, order, in_loops)
                        if one.macs + choice.macs <= most_macs
                    )
            for end, choices in states.items():
                states[end] = _undominated(choices)
        return sorted(states.get(self.positions[-1], []), key=lambda one: one.tail_bytes)[:most]

    def options(self, first: int, last: int, limit_bytes: int, upward: bool, in_loops: bool = False) -> list[Choice]:
        """A stage with the highest bands that the limit allows, per way of cutting wrong rows off."""
        key = first, last, limit_bytes, upward, in_loops
        if key not in self.chosen:
            self.chosen[key] = list(self._options(*key))
        return self.chosen[key]

    def _options(self, first: int, last: int, limit_bytes: int, upward: bool, in_loops: bool) -> Iterator[Choice]:
        stage = self._stage(first, last)
        sizes_bytes = self._costs[3]
        if stage is None or max(sizes_bytes.get(index, 0) for index in (stage.source, stage.result)) > limit_bytes:
            return
        for trimmed in dict.fromkeys((stage.late, frozenset(stage.trimmable))):
            costs = self._costs_of(stage, trimmed)
            heights = highest(costs, limit_bytes, upward)
            if heights is None or len(heights) < 2:
                continue
            banding = Banding(stage, heights[::-1] if upward else heights, upward, trimmed)
            looped = [replace(banding, in_loops=True), *self._equal(banding, limit_bytes)] if in_loops else []
            for one in dict.fromkeys((banding, *(one for one in looped if self.pricer.loops(one)))):
                choice = self._choice(one)
                if choice.head_bytes <= limit_bytes:
                    yield choice
        if in_loops and not upward:
            if stage not in self.lines:
                self.lines[stage] = _useful([self._choice(one) for one in self._line_bandings(stage)])
            yield from _undominated(choice for choice in self.lines[stage] if choice.head_bytes <= limit_bytes)

    def _line_bandings(self, stage: Stage) -> Iterator[Banding]:
        """Bands with rows that stay, in loops; and one by one, where that is not for the memory of a loop."""
        for one in line_bandings(stage):
            if self.pricer.loops(one):
                yield one
                if not one.again:
                    yield replace(one, in_loops=False)

    def _equal(self, banding: Banding, limit_bytes: int) -> Iterator[Banding]:
        """Bands of one height for a loop, the highest that keep the limit, for each way to deal with the rows left over.

        `banding` has the highest band at each place, so that no others are higher than its lowest but the last.
        """
        rows = banding.stage.rows
        most = min(*(banding.heights[1:] if banding.upward else banding.heights[:-1]), rows // 3)
        for deal in _DEALS:
            for height in range(most, 0, -1):
                heights = deal(height, *divmod(rows, height))
                one = replace(banding, heights=heights, in_loops=True)
                if heights and self._head_bytes(one, self.pricer.loops(one)) <= limit_bytes:
                    yield one
                    break

    def choice(self, bandings: Sequence[Banding]) -> Choice:
        """Any stages in any bands, in their order, and what they are reckoned to cost."""
        found, position = Choice(0, 0, 0, ()), 0
        for banding in bandings:
            whole = max(self.peaks[position : banding.stage.first], default=0)
            found = found.then(Choice(whole, 0, 0, ())).then(self._choice(banding))
            position = banding.stage.last + 1
        return found.then(Choice(max(self.peaks[position:], default=0), 0, 0, ()))

    def _choice(self, banding: Banding) -> Choice:
        if banding not in self.alone:
            self.alone[banding] = self._reckoned(banding)
        return self.alone[banding]

    def _reckoned(self, banding: Banding) -> Choice:
        loops = self.pricer.loops(banding)
        head_bytes, tail_bytes = self._head_bytes(banding, loops), self._tail_bytes(banding, loops)
        return Choice(head_bytes, tail_bytes, banding.extra_macs(), (banding,))

    def _head_bytes(self, banding: Banding, loops: Sequence[range]) -> int:
        if banding.lines:
            return peak_bytes(banding, loops, *self._costs[1:3])
        costs, bands = self._costs_of(banding.stage, banding.trimmed), banding.bands
        turns = {number for run in loops for number in run}
        peaks = [costs.peak(rows, banding.upward) for number, rows in enumerate(bands) if number not in turns]
        return max(*peaks, 0, costs.loop_peak(bands, loops, banding.upward))

    def _stage(self, first: int, last: int) -> Stage | None:
        if (first, last) not in self.known:
            self.known[first, last] = self.cuts.stage(first, last)
        return self.known[first, last]

    def _costs_of(self, stage: Stage, trimmed: frozenset[int]) -> StageCosts:
        key = stage.first, stage.last, trimmed
        if key not in self.costs:
            _, distances, scratch, _ = self._costs
            self.costs[key] = StageCosts(stage, trimmed, distances, scratch)
        return self.costs[key]

    def _tail_bytes(self, banding: Banding, loops: Sequence[range]) -> int:
        copies, tensor, node = self._prices
        stage = banding.stage
        total = self.least_tail_bytes() - sum(copies[one.operator.index] for one in stage.layers)
        copy, is_explicit = node + 2 * tensor, self.pricer.form == EXPLICIT
        weights = 2 * len(stage.layers)
        total += len(loops) * (_LOOP_NODES * node + (_LOOP_TENSORS + weights) * tensor + _LOOP_BYTES)
        turns = {number for run in loops for number in run[1:]}
        wrong = 0
        for number, (rows, turn) in enumerate(zip(banding.bands, banding.turns(is_checked=False), strict=True)):
            if number not in turns:
                total += len(turn.kept) * (node + 2 * tensor)
                cut = [index for index, _ in _cuts(stage, turn, rows)]
                wrong += cut.count(stage.result)
                total += sum(copies[one.operator.index] for one in stage.layers)
                total += len(cut) * (copy if is_explicit else tensor)
        if not is_explicit:
            # What is cut off the result is copied to where the result is, each by itself or all of it together.
            total += min(wrong * (node + tensor), node + tensor)
        return total


def _cuts(stage: Stage, turn: Turn, rows: Rows) -> Iterator[tuple[int, Rows]]:
    there = {stage.source: Rows(0, stage.sizes[stage.source])}
    made = set()
    for step in turn.steps:
        for index, given in zip(step.layer.data, step.inputs, strict=True):
            if given != there[index] and (index, given) not in made:
                made.add((index, given))
                yield index, given
        there[step.layer.output] = step.output.hull(turn.kept.get(step.layer.output))
    if there[stage.result] != rows:
        yield stage.result, rows


def _useful(choices: Sequence[Choice]) -> list[Choice]:
    """Those than which no other is as good in all three respects; of equal ones the first."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda one: one[:3]):
        if not any(one.tail_bytes <= choice.tail_bytes and one.macs <= choice.macs for one in kept):
            kept.append(choice)
    return kept


def _undominated(choices: Iterable[Choice]) -> list[Choice]:
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda one: (one.tail_bytes, one.macs)):
        if not kept or choice.macs < kept[-1].macs:
            kept.append(choice)
    if len(kept) > _MOST_STATES:
        step = (len(kept) - 1) / (_MOST_STATES - 1)
        kept = [kept[round(step * number)] for number in range(_MOST_STATES)]
    return kept
