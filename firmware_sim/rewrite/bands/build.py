"""Writes stages in bands into a graph, in a form that is legal TFLite wherever it runs.

Each band is a SLICE of rows of the source, the operators of the stage on these rows, and a part of a CONCATENATION along
the height. A memory plan lets slices lie inside what they are cut from, and parts inside what they are put together to
(`firmware_sim.overlap.views`), so that the copies are onto themselves. Rows that stay for the next band are a SLICE
too, which a CONCATENATION puts in front of what that band computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware_sim.errors import InternalError
from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.bands.geometry import Padded, Rows
from firmware_sim.rewrite.bands.layers import Layer
from firmware_sim.rewrite.bands.lines import turns
from firmware_sim.rewrite.bands.pieces import Pieces
from firmware_sim.rewrite.bands.shapes import repeated
from firmware_sim.rewrite.bands.stage import Stage, Turn
from firmware_sim.rewrite.draft import NEW_OPERATOR, DraftGraph


@dataclass(frozen=True, slots=True)
class Banding:
    """How a stage is divided.

    Attributes:
        stage: what is computed in bands.
        heights: rows of the result per band, from the top to the bottom.
        upward: the lowest rows are computed first.
        trimmed: see `Stage.steps`.
        in_loops: where a file can have loops, bands that are alike are one (`repeated`).
        lines: rows stay from one band to the next instead of being computed once more; not with `upward` and `trimmed`.
        again: with `lines`, maps whose rows are computed once more all the same, which may take less memory.
    """

    stage: Stage
    heights: tuple[int, ...]
    upward: bool = False
    trimmed: frozenset[int] = frozenset()
    in_loops: bool = False
    lines: bool = False
    again: frozenset[int] = frozenset()

    @property
    def bands(self) -> tuple[Rows, ...]:
        """Rows of the result per band, in the order in which they are computed."""
        bands, start = [], 0
        for height in self.heights:
            bands.append(Rows(start, start + height))
            start += height
        return tuple(reversed(bands)) if self.upward else tuple(bands)

    def turns(self, *, is_checked: bool = True) -> tuple[Turn, ...]:
        """What each of the `bands` does.

        Args:
            is_checked: see `Stage.steps`.

        Raises:
            InternalError: rows cannot stay in these bands; see `firmware_sim.rewrite.bands.lines.turns`.
        """
        if not self.lines:
            steps = (self.stage.steps(rows, self.trimmed, is_checked=is_checked) for rows in self.bands)
            return tuple(Turn(one, {}) for one in steps)
        found = turns(self.stage, self.heights, self.again)
        if found is None:
            raise InternalError(f"no rows can stay in bands of {self.heights} rows")
        return found

    def extra_macs(self) -> int:
        """Multiply-accumulates more than without bands."""
        return sum(self.stage.macs(turn.steps) for turn in self.turns(is_checked=False)) - self.stage.whole_macs


COPY: Final = "DYNAMIC_UPDATE_SLICE"
"""The operator that stands for a copy of rows in a loop; its option "begin" is the first row. Nothing overlaps there."""


@dataclass(frozen=True, slots=True)
class Run:
    """Bands that are computed by the same operators in a loop.

    Attributes:
        bands: the operators of each band, in the order in which they are computed. The first copies rows of the source.
        counter: a tensor that is in use from the first of them to the last, with room for `COUNTERS` counters.
        result: what the bands are parts of.
        first_rows, step_rows: where the rows of the first band begin in it, and by how much those of each further band.
        source_rows: by how much the rows of the source do.
        lines: what copies of the first band write, of rows that stay, with the tensor at whose beginning that is.
        after: such tensors, with those that the band behind the run has at their places.
    """

    bands: tuple[tuple[Operator, ...], ...]
    counter: int
    result: int
    first_rows: int
    step_rows: int
    source_rows: int
    lines: Mapping[int, int] = field(default_factory=dict)
    after: Mapping[int, int] = field(default_factory=dict)

    def ties(self) -> list[tuple[int, int]]:
        """Tensors of the first band, each with one of another band that has its place; parts of the result have theirs."""
        pairs = [
            (one.outputs[0], other.outputs[0])
            for band in self.bands[1:]
            for one, other in zip(self.bands[0][:-1], band[:-1], strict=True)
        ]
        return [*pairs, *self.after.items()]


COUNTERS: Final = 3


def banded(graph: DraftGraph, bandings: Sequence[Banding]) -> DraftGraph:
    """The graph with stages computed in bands; stages that share operators cannot be."""
    return _banded(graph, bandings, _Writer(dict(graph.tensors), dict(graph.copies)))


def banded_in_loops(graph: DraftGraph, bandings: Sequence[Banding]) -> tuple[DraftGraph, tuple[Run, ...]]:
    """The same with bands of one shape on the way to loops: their rows are copied to where all of them are computed."""
    writer = _Writer(dict(graph.tensors), dict(graph.copies), graph.outputs)
    return _banded(graph, bandings, writer), tuple(writer.runs)


def _banded(graph: DraftGraph, bandings: Sequence[Banding], writer: _Writer) -> DraftGraph:
    operators: list[Operator] = []
    position = 0
    for banding in sorted(bandings, key=lambda one: one.stage.first):
        operators.extend(graph.operators[position : banding.stage.first])
        operators.extend(writer.stage(banding))
        position = banding.stage.last + 1
    operators.extend(graph.operators[position:])
    changed = replace(graph, tensors=writer.tensors, operators=tuple(operators), copies=writer.copies)
    used = changed.used()
    return replace(changed, tensors={index: tensor for index, tensor in writer.tensors.items() if index in used})


@dataclass(slots=True)
class _Band:
    """What was written of a band: the tensors of its rows of the result, per map those of all rows that there are where some
    were kept and of those that it leaves to the next band; and where its operators begin and end."""

    part: int = -1
    whole: dict[int, int] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    start: int = 0
    end: int = 0


@dataclass(slots=True)
class _Writer(Pieces):
    outputs: tuple[int, ...] | None = None
    runs: list[Run] = field(default_factory=list, init=False)
    counter: int | None = field(default=None, init=False)

    def stage(self, banding: Banding) -> list[Operator]:
        self.operators = []
        can_loop = self.outputs is not None and banding.stage.result not in self.outputs
        runs = repeated(banding) if can_loop and banding.in_loops else ()
        parts: dict[int, int] = {}
        written = [_Band()]
        found = banding.turns()
        for number, rows in enumerate(banding.bands):
            run = next((one for one in runs if number in one), range(0))
            if run and number == run.start:
                self.counter = self.count()
            following = found[number + 1].kept if number + 1 < len(found) else {}
            written.append(self.band(banding.stage, found[number], written[-1].left, following, rows, number))
            parts[rows.start] = written[-1].part
            if run and number == run[-1]:
                self.counter = None
        self.runs += [self.run(banding, run, written[1:]) for run in runs]
        if len(parts) == 1:
            # One band is the whole stage; its last operator writes the result itself.
            last = self.operators[-1]
            self.operators[-1] = replace(last, outputs=(banding.stage.result,))
        else:
            self.join([parts[start] for start in sorted(parts)], banding.stage.result)
        return self.operators

    def count(self) -> int:
        """The tensor of the counters, and an operator that writes it."""
        made = self.next
        self.next += 1
        self.tensors[made] = Tensor(made, f"sapool/counters{made}", (4 * COUNTERS,), "INT32", 0)
        self.operators.append(Operator(NEW_OPERATOR, COPY, 1, (), (made,)))
        return made

    def run(self, banding: Banding, run: range, written: Sequence[_Band]) -> Run:
        """The bands of a run."""
        bands = tuple(tuple(self.operators[written[number].start : written[number].end]) for number in run)
        counter = self.operators[written[run.start].start - 1].outputs[0]
        first, second = (banding.bands[number].start for number in run[:2])
        reads = [band[0].option("begin") for band in bands[:2]]
        one = written[run.start]
        lines = {copy: one.whole[index] for index, copy in one.left.items()}
        after = {one.whole[index]: written[run.stop].whole[index] for index in one.left}
        result = banding.stage.result
        return Run(bands, counter, result, first, second - first, reads[1] - reads[0], lines, after)

    def band(
        self,
        stage: Stage,
        turn: Turn,
        kept: Mapping[int, int],
        following: Mapping[int, Rows],
        wanted: Rows,
        number: int,
    ) -> _Band:
        """The operators of a band. `kept` are tensors of the rows that it was left, `following` rows for the next one."""
        made: dict[int, tuple[int, Rows]] = {stage.source: (stage.source, Rows(0, stage.sizes[stage.source]))}
        slices: dict[tuple[int, Rows], int] = {}
        here = _Band(start=len(self.operators))
        for step, ending in zip(turn.steps, stage.ending, strict=True):
            inputs = {}
            for index, rows in zip(step.layer.data, step.inputs, strict=True):
                inputs[index] = self.cut(index, *made[index], rows, slices, number)
            index = step.layer.output
            output = self.part(index, step.output, number)
            self.operators.append(self.layer(step.layer, inputs, output, step.inputs[0]))
            made[index] = (output, step.output)
            if index in kept:
                made[index] = self.behind(index, kept[index], turn.kept[index], *made[index], number)
                here.whole[index] = made[index][0]
            for index in sorted(ending.intersection(following)):
                here.left[index] = self.slice(index, *made[index], following[index], number)
        copy = self.cut if self.counter is None else self.copied
        here.part = copy(stage.result, *made[stage.result], wanted, slices, number)
        here.end = len(self.operators)
        return here

    def behind(self, index: int, left: int, kept: Rows, output: int, rows: Rows, number: int) -> tuple[int, Rows]:
        """The rows of a map that were kept, and behind them those that were computed."""
        if rows.start < kept.end:
            right = Rows(kept.end, rows.end)
            output, rows = self.slice(index, output, rows, right, number), right
        whole = Rows(kept.start, rows.end)
        made = self.part(index, whole, number)
        self.concatenation([left, output], made)
        return made, whole

    def copied(
        self, index: int, made: int, there: Rows, rows: Rows, slices: dict[tuple[int, Rows], int], number: int
    ) -> int:
        """Some rows of what there is of a tensor, copied, in a loop."""
        assert self.counter is not None
        if (index, rows) not in slices:
            slices[index, rows] = self.part(index, rows, number)
            options = {"begin": rows.start - there.start}
            copy = Operator(NEW_OPERATOR, COPY, 1, (made, self.counter), (slices[index, rows],), options)
            self.operators.append(copy)
        return slices[index, rows]

    def layer(self, one: Layer, inputs: dict[int, int], output: int, band: Rows) -> Operator:
        operator = one.operator
        replaced = [inputs.get(index, index) for index in operator.inputs]
        if one.margins is not None and isinstance(one.reach, Padded):
            top, bottom, left, right = one.margins
            rows = top if band.start == 0 else 0, bottom if band.end == one.reach.size else 0
            replaced[1] = self.constant((0, 0, *rows, left, right, 0, 0), (4, 2))
        return operator.replaced(inputs=tuple(replaced), outputs=(output,))

    def cut(
        self, index: int, made: int, there: Rows, rows: Rows, slices: dict[tuple[int, Rows], int], number: int
    ) -> int:
        """Some rows of what there is of a tensor."""
        if self.counter is not None and made == index:
            return self.copied(index, made, there, rows, slices, number)
        if rows == there:
            return made
        if (index, rows) not in slices:
            slices[index, rows] = self.slice(index, made, there, rows, number)
        return slices[index, rows]
