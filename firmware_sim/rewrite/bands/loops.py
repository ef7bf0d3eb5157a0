"""Writes bands of one shape as one WHILE of TFLM: the operators of one band, and counters of where its rows are.

The body copies rows of the source to a fixed place (SLICE at a counter), computes there, and copies the rows of the result
to where they belong (DYNAMIC_UPDATE_SLICE at another). Rows that stay for the next turn are copied to the beginning of what
they are part of. For source and result the body has tensors of its own at their
places, which nothing writes, as the form `views` has them. Counters of body and condition share one place, so that TFLM
copies them onto themselves.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from firmware_sim.memory.elements import element_bytes
from firmware_sim.model import Operator, Tensor
from firmware_sim.overlap.views import View
from firmware_sim.rewrite.bands.build import COPY, Run
from firmware_sim.rewrite.draft import NEW_BUFFER, NEW_OPERATOR, DraftGraph

_COUNTER_BYTES: Final = 16  # each counter in a place of its own, as TFLM would have it


def looped(
    main: DraftGraph, tensors: Mapping[int, Tensor], runs: Sequence[Run], scratch: Collection[int]
) -> tuple[tuple[DraftGraph, ...], dict[int, View]]:
    """A graph with loops, and the graphs of their bodies and conditions; and which tensors lie in others.

    Args:
        main: a graph in which nothing copies bytes onto themselves, with all bands.
        tensors: those of the graph before such copies were left out.
        runs: the bands that loops are made of.
        scratch: operators of the file that ask for scratch buffers.
    """
    writer = _Writer(dict(tensors), dict(main.copies), scratch, next=max((*tensors, *main.copies)) + 1)
    kept = {operator.outputs[0] for operator in main.operators}
    loops = {run.counter: writer.loop(run, kept, 1 + 2 * number) for number, run in enumerate(runs)}
    inner = {operator.outputs[0] for run in runs for band in run.bands for operator in band}
    operators = tuple(
        loops.get(operator.outputs[0], operator) for operator in main.operators if operator.outputs[0] not in inner
    )
    graphs = [replace(main, operators=operators), *writer.graphs]
    return tuple(writer.finished(graph) for graph in graphs), writer.inside


@dataclass(slots=True)
class _Writer:
    tensors: dict[int, Tensor]
    copies: dict[int, int]
    scratch: Collection[int]
    next: int
    graphs: list[DraftGraph] = field(default_factory=list)
    inside: dict[int, View] = field(default_factory=dict)

    def finished(self, graph: DraftGraph) -> DraftGraph:
        return replace(graph, tensors={index: self.tensors[index] for index in graph.used()}, copies=self.copies)

    def loop(self, run: Run, kept: set[int], number: int) -> Operator:
        """The WHILE of a run, whose body gets the number `number` and whose condition the next one."""
        first, count = run.bands[0], len(run.bands)
        source = next(operator for operator in first if operator.op == COPY).inputs[0]
        steps = [run.source_rows * self.row(source), run.step_rows * self.row(run.result)]
        starts = [max(-step, 0) * (count - 1) for step in steps]
        counters = [self.counter(run, place, "body") for place in range(2)]
        body: list[Operator] = []
        for operator in first:
            if operator.op == COPY:
                body.append(self.copied(run, operator, source, counters))
            elif operator.outputs[0] in run.lines:
                # The next turn finds the rows that stay where this one found those that it was left.
                body.append(replace(operator, outputs=(self.again(operator.outputs[0], run.lines),)))
            elif operator.outputs[0] in kept:
                body.append(operator)
        self.inside.update({after: View(whole, 0) for whole, after in run.after.items()})
        following = [self.counter(run, place, "next") for place in range(2)]
        inner, left, outer = self.held(first, source)
        for counter, step, after in zip(counters, steps, following, strict=True):
            body.append(_made("ADD", (counter, self.integer(step)), after, {"fused_activation_function": 0}))
        self.graphs.append(DraftGraph({}, tuple(body), (*counters, *inner), (*following, *inner)))
        asked = [self.counter(run, place, "condition") for place in range(2)]
        is_left = self.new(Tensor(0, f"sapool/left{number}", (1,), "BOOL", 0), View(run.counter, 2 * _COUNTER_BYTES))
        bounds = (asked[1], self.integer(count * steps[1])) if steps[1] > 0 else (self.integer(-1), asked[1])
        self.graphs.append(DraftGraph({}, (_made("LESS", bounds, is_left),), (*asked, *left), (is_left,)))
        given = (*(self.integer(start) for start in starts), *([source] if inner else []))
        result = (*(self.counter(run, place, "end") for place in range(2)), *outer)
        options = {"cond_subgraph_index": number + 1, "body_subgraph_index": number}
        return Operator(NEW_OPERATOR, "WHILE", 1, given, result, options)

    def held(self, band: Sequence[Operator], source: int) -> list[list[int]]:
        """The source for body, condition and result of a loop in which there are scratch buffers.

        What a WHILE is given is in use for TFLM until it ends, so that no scratch buffer is put over rows that a later turn
        reads. It is copied onto itself at each turn, which takes time, and nothing else.
        """
        if not any(operator.index in self.scratch for operator in band):
            return [[], [], []]
        whole = self.tensors[source]
        made = [self.new(replace(whole, name=f"{whole.name};held{self.next}"), View(source, 0)) for _ in range(3)]
        self.copies.update(dict.fromkeys(made, self.copies.get(source, source)))
        return [[index] for index in made]

    def copied(self, run: Run, operator: Operator, source: int, counters: Sequence[int]) -> Operator:
        """A copy of rows at a counter; maps are rows of bytes for it."""
        begins = [band[run.bands[0].index(operator)].option("begin") for band in run.bands]
        given, output = operator.inputs[0], operator.outputs[0]
        if given == source:
            span = max(begins) - min(begins) + self.tensors[output].shape[1]
            whole = self.flat(source, min(begins) * self.row(source), span * self.row(source))
            part = self.flat(output, 0, self.tensors[output].elements)
            return _made("SLICE", (whole, counters[0], self.integer(self.tensors[part].elements)), part)
        first = min(run.first_rows, run.first_rows + run.step_rows * (len(run.bands) - 1))
        height = self.tensors[output].shape[1]
        span = abs(run.step_rows) * (len(run.bands) - 1) + height
        before, after = (self.flat(run.result, first * self.row(run.result), span * self.row(run.result)) for _ in "12")
        part = self.flat(given, begins[0] * self.row(given), height * self.row(given))
        return _made(COPY, (before, part, counters[1]), after)

    def again(self, index: int, lines: Mapping[int, int]) -> int:
        """A tensor for what a copy writes, at the beginning of the tensor that `lines` has for it."""
        made = self.new(self.tensors[index], View(lines[index], 0))
        self.copies[made] = self.copies.get(index, index)
        return made

    def row(self, index: int) -> int:
        """Elements of a row."""
        shape = self.tensors[index].shape
        return shape[2] * shape[3]

    def flat(self, index: int, start: int, count: int) -> int:
        """A tensor of one axis for some elements of a map."""
        whole = self.tensors[index]
        view = View(index, start * element_bytes(whole))
        made = self.new(replace(whole, name=f"{whole.name};flat{self.next}", shape=(count,)), view)
        self.copies[made] = self.copies.get(index, index)
        return made

    def counter(self, run: Run, place: int, name: str) -> int:
        tensor = Tensor(0, f"sapool/counter{run.counter}_{place}_{name}", (1,), "INT32", 0)
        return self.new(tensor, View(run.counter, place * _COUNTER_BYTES))

    def integer(self, value: int) -> int:
        data = memoryview(struct.pack("<i", value))
        return self.new(Tensor(0, f"sapool/integer{self.next}", (1,), "INT32", NEW_BUFFER, data=data))

    def new(self, tensor: Tensor, view: View | None = None) -> int:
        made = self.next
        self.next += 1
        self.tensors[made] = replace(tensor, index=made)
        if view is not None:
            self.inside[made] = view
        return made


def _made(op: str, inputs: tuple[int, ...], output: int, options: Mapping[str, int] | None = None) -> Operator:
    return Operator(NEW_OPERATOR, op, 1, inputs, (output,), options or {})
