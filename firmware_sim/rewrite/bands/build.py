"""Writes stages in bands into a graph, in a form that is legal TFLite wherever it runs.

Each band is a SLICE of rows of the source, the operators of the stage on these rows, and a part of a CONCATENATION along
the height. A memory plan lets slices lie inside what they are cut from, and parts inside what they are put together to
(`firmware_sim.overlap.views`), so that the copies are onto themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.bands.geometry import Padded, Rows
from firmware_sim.rewrite.bands.layers import Layer
from firmware_sim.rewrite.bands.stage import Stage
from firmware_sim.rewrite.draft import NEW_BUFFER, NEW_OPERATOR, DraftGraph

# Versions of the operators for a type (lite/tools/versioning/op_version.cc).
_SLICE: Final = {"INT8": 2, "INT16": 4}
_CONCATENATION: Final = {"INT8": 2, "INT16": 3}
_LEAST_LOOPS: Final = 3
_MOST_PARTS: Final = 10
"""Inputs that TFLM's CONCATENATION takes (kernels/concatenation.cc, kMaxInputNum)."""


@dataclass(frozen=True, slots=True)
class Banding:
    """How a stage is divided.

    Attributes:
        stage: what is computed in bands.
        heights: rows of the result per band, from the top to the bottom.
        upward: the lowest rows are computed first.
        trimmed: see `Stage.steps`.
        in_loops: where a file can have loops, bands that are alike are one (`repeated`).
    """

    stage: Stage
    heights: tuple[int, ...]
    upward: bool = False
    trimmed: frozenset[int] = frozenset()
    in_loops: bool = False

    @property
    def bands(self) -> tuple[Rows, ...]:
        """Rows of the result per band, in the order in which they are computed."""
        bands, start = [], 0
        for height in self.heights:
            bands.append(Rows(start, start + height))
            start += height
        return tuple(reversed(bands)) if self.upward else tuple(bands)


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
    """

    bands: tuple[tuple[Operator, ...], ...]
    counter: int
    result: int
    first_rows: int
    step_rows: int
    source_rows: int

    def ties(self) -> list[tuple[int, int]]:
        """Tensors of the first band, each with one of another band that has its place; parts of the result have theirs."""
        return [
            (one.outputs[0], other.outputs[0])
            for band in self.bands[1:]
            for one, other in zip(self.bands[0][:-1], band[:-1], strict=True)
        ]


COUNTERS: Final = 3


def banded(graph: DraftGraph, bandings: Sequence[Banding]) -> DraftGraph:
    """The graph with stages computed in bands; stages that share operators cannot be."""
    return _banded(graph, bandings, _Writer(dict(graph.tensors), dict(graph.copies)))


def banded_in_loops(graph: DraftGraph, bandings: Sequence[Banding]) -> tuple[DraftGraph, tuple[Run, ...]]:
    """The same with bands of one shape on the way to loops: their rows are copied to where all of them are computed."""
    writer = _Writer(dict(graph.tensors), dict(graph.copies), outputs=graph.outputs)
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


def repeated(banding: Banding) -> tuple[range, ...]:
    """Runs of bands of one shape that move on by the same rows, as positions in the order of computing.

    Those of at least three bands: a loop has operators of its own.
    """
    shapes = [_shape(banding, rows) for rows in banding.bands]
    runs = []
    start = 0
    for number in range(1, len(shapes) + 1):
        is_same = number < len(shapes) and shapes[number][0] == shapes[start][0]
        moves = [other[1] - one[1] for one, other in pairwise(shapes[start : number + is_same])]
        if not is_same or len(set(moves)) > 1:
            if number - start >= _LEAST_LOOPS:
                runs.append(range(start, number))
            start = number
    return tuple(runs)


def _shape(banding: Banding, wanted: Rows) -> tuple[tuple[int, ...], int]:
    """All that tells a band from one that is only somewhere else, and where in the source it is."""
    stage = banding.stage
    steps = stage.steps(wanted, banding.trimmed, is_checked=False)
    there = {stage.source: Rows(0, stage.sizes[stage.source])}
    base = min(rows.start for step in steps for i, rows in zip(step.layer.data, step.inputs, strict=True) if i in there)
    shape: list[int] = [wanted.height]
    for step in steps:
        for index, rows in zip(step.layer.data, step.inputs, strict=True):
            before = base if index == stage.source else there[index].start
            # Paddings are those of the border where a band is there.
            is_border = isinstance(step.layer.reach, Padded) and (rows.start == 0, rows.end == step.layer.reach.size)
            shape += [rows.start - before, rows.height, *(is_border or (2, 2))]
        there[step.layer.output] = step.output
        shape.append(step.output.height)
    shape.append(wanted.start - there[stage.result].start)
    return tuple(shape), base


@dataclass(slots=True)
class _Writer:
    tensors: dict[int, Tensor]
    copies: dict[int, int]
    outputs: tuple[int, ...] | None = None
    constants: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    counter: int | None = None
    operators: list[Operator] = field(default_factory=list)
    next: int = field(init=False)

    def __post_init__(self) -> None:
        self.next = max((*self.tensors, *self.copies)) + 1

    def stage(self, banding: Banding) -> list[Operator]:
        self.operators = []
        can_loop = self.outputs is not None and banding.stage.result not in self.outputs
        runs = repeated(banding) if can_loop and banding.in_loops else ()
        parts: dict[int, int] = {}
        edges = []
        for number, rows in enumerate(banding.bands):
            run = next((one for one in runs if number in one), range(0))
            if run and number == run.start:
                self.counter = self.count()
            edges.append(len(self.operators))
            parts[rows.start] = self.band(banding, rows, number)
            if run and number == run[-1]:
                self.runs.append(self.run(banding, run, edges))
                self.counter = None
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

    def run(self, banding: Banding, run: range, edges: Sequence[int]) -> Run:
        """The bands of a run, which are the last that were written."""
        assert self.counter is not None
        ends = [*edges[run.start + 1 :], len(self.operators)]
        bands = tuple(tuple(self.operators[start:end]) for start, end in zip(edges[run.start :], ends, strict=True))
        first, second = (banding.bands[number].start for number in run[:2])
        reads = [band[0].option("begin") for band in bands[:2]]
        return Run(bands, self.counter, banding.stage.result, first, second - first, reads[1] - reads[0])

    def band(self, banding: Banding, wanted: Rows, number: int) -> int:
        """The operators of a band; gives the tensor of its rows of the result."""
        stage = banding.stage
        made: dict[int, tuple[int, Rows]] = {stage.source: (stage.source, Rows(0, stage.sizes[stage.source]))}
        slices: dict[tuple[int, Rows], int] = {}
        for step in stage.steps(wanted, banding.trimmed):
            inputs = {}
            for index, rows in zip(step.layer.data, step.inputs, strict=True):
                inputs[index] = self.cut(index, *made[index], rows, slices, number)
            output = self.part(step.layer.output, step.output, number)
            self.operators.append(self.layer(step.layer, inputs, output, step.inputs[0]))
            made[step.layer.output] = (output, step.output)
        if self.counter is not None:
            return self.copy(stage.result, *made[stage.result], wanted, number)
        return self.cut(stage.result, *made[stage.result], wanted, slices, number)

    def copy(self, index: int, made: int, there: Rows, rows: Rows, number: int) -> int:
        """Some rows of what there is of a tensor, copied, in a loop."""
        assert self.counter is not None
        output = self.part(index, rows, number)
        options = {"begin": rows.start - there.start}
        self.operators.append(Operator(NEW_OPERATOR, COPY, 1, (made, self.counter), (output,), options))
        return output

    def layer(self, one: Layer, inputs: dict[int, int], output: int, band: Rows) -> Operator:
        operator = one.operator
        replaced = [inputs.get(index, index) for index in operator.inputs]
        if one.margins is not None and isinstance(one.reach, Padded):
            top, bottom, left, right = one.margins
            rows = top if band.start == 0 else 0, bottom if band.end == one.reach.size else 0
            replaced[1] = self.constant((0, 0, *rows, left, right, 0, 0), (4, 2))
        return replace(operator, inputs=tuple(replaced), outputs=(output,))

    def cut(
        self, index: int, made: int, there: Rows, rows: Rows, slices: dict[tuple[int, Rows], int], number: int
    ) -> int:
        """Some rows of what there is of a tensor."""
        is_copied = self.counter is not None and made == index
        if rows == there and not is_copied:
            return made
        if (index, rows) not in slices and is_copied:
            slices[index, rows] = self.copy(index, made, there, rows, number)
        elif (index, rows) not in slices:
            output = self.part(index, rows, number)
            begin = self.constant((0, rows.start - there.start, 0, 0), (4,))
            size = self.constant((-1, rows.height, -1, -1), (4,))
            version = _SLICE[self.tensors[made].type]
            self.operators.append(Operator(NEW_OPERATOR, "SLICE", version, (made, begin, size), (output,)))
            slices[index, rows] = output
        return slices[index, rows]

    def join(self, parts: list[int], result: int) -> None:
        """Put parts together, in groups where there are more than TFLM takes at once."""
        while len(parts) > _MOST_PARTS:
            groups = -(-len(parts) // _MOST_PARTS)
            edges = [len(parts) * number // groups for number in range(groups + 1)]
            joined: list[int] = []
            for start, end in pairwise(edges):
                height = sum(self.tensors[part].shape[1] for part in parts[start:end])
                joined.append(self.part(result, Rows(0, height), len(joined), "rows"))
                self.concatenation(parts[start:end], joined[-1])
            parts = joined
        self.concatenation(parts, result)

    def concatenation(self, parts: Sequence[int], output: int) -> None:
        version = _CONCATENATION[self.tensors[output].type]
        options = {"axis": 1, "fused_activation_function": 0}
        self.operators.append(Operator(NEW_OPERATOR, "CONCATENATION", version, tuple(parts), (output,), options))

    def part(self, index: int, rows: Rows, number: int, what: str = "band") -> int:
        """A new tensor for some rows of a tensor of the file."""
        whole = self.tensors[index]
        shape = (1, rows.height, *whole.shape[2:])
        made = self.next
        self.next += 1
        self.tensors[made] = replace(whole, index=made, name=f"{whole.name};{what}{number}", shape=shape)
        self.copies[made] = self.copies.get(index, index)
        return made

    def constant(self, values: tuple[int, ...], shape: tuple[int, ...]) -> int:
        if (values, shape) not in self.constants:
            data = memoryview(struct.pack(f"<{len(values)}i", *values))
            name = "sapool/rows_" + "_".join(map(str, values))
            self.tensors[self.next] = Tensor(self.next, name, shape, "INT32", NEW_BUFFER, data=data)
            self.constants[values, shape] = self.next
            self.next += 1
        return self.constants[values, shape]
