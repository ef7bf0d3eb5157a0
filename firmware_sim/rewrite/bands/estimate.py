"""What a band needs in memory, reckoned without planning: the bytes in use at each of its layers, less what outputs share
with inputs that die there. A plan may need more, where what is free is not in one piece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from firmware_sim.model import Tensor
from firmware_sim.overlap.distance import distance_bytes
from firmware_sim.overlap.rules import rules
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.layers import Layer, row_bytes
from firmware_sim.rewrite.bands.stage import Stage, Step


@dataclass(slots=True)
class Distances:
    """How much an output shares with an input that dies, per layer and height of the band; kept, since bands repeat."""

    tensors: Mapping[int, Tensor]
    kernels: str
    known: dict[tuple[int, tuple[int, ...], int], dict[int, int | None]] = field(default_factory=dict)

    def of(self, layer: Layer, heights: tuple[int, ...], out: int) -> dict[int, int | None]:
        """Input to its least distance above the output; None if they have to be apart."""
        key = (layer.output, heights, out)
        if key not in self.known:
            operator = layer.operator
            tensors = {index: self.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0}
            for index, count in zip((*layer.data, layer.output), (*heights, out), strict=True):
                whole = tensors[index]
                tensors[index] = whole.replaced(shape=(1, count, *whole.shape[2:]))
            chosen = rules(operator, tensors, self.kernels)
            self.known[key] = {index: distance_bytes(chosen, index) for index in layer.data}
        return self.known[key]


@dataclass
class StageCosts:
    """Bytes and multiplications of the bands of one stage, of which wrong rows are cut off in one way."""

    stage: Stage
    trimmed: frozenset[int]
    distances: Distances
    scratch: Mapping[int, int]
    _reads: dict[Rows, Rows] = field(default_factory=dict)
    _peaks: dict[tuple[Rows, bool], int] = field(default_factory=dict)
    _turns: dict[Rows, int] = field(default_factory=dict)

    def steps(self, wanted: Rows) -> tuple[Step, ...]:
        """See `Stage.steps`."""
        return self.stage.steps(wanted, self.trimmed, is_checked=False)

    def reads(self, wanted: Rows) -> Rows:
        """See `Stage.reads`."""
        if wanted not in self._reads:
            self._reads[wanted] = self.stage.reads(wanted)
        return self._reads[wanted]

    def peak(self, wanted: Rows, upward: bool) -> int:
        """Most bytes in use while a band is computed, after all bands above it (below it with `upward`)."""
        key = wanted, upward
        if key not in self._peaks:
            self._peaks[key] = self._peak(*key)
        return self._peaks[key]

    def loop_peak(self, bands: Sequence[Rows], runs: Sequence[range], upward: bool) -> int:
        """Most bytes in use while loops run; 0 without any.

        Each turn computes a copy of its rows of the source, and copies its result to where it belongs. All else in a loop
        has one place for all turns, where neither rows of the source are at the first turn nor rows of the result at the
        last one. These two can share bytes as far as rows die before others are born in their place, or be apart.

        Args:
            bands: rows of the result per band, in the order of computing.
            runs: those of them in the same loop.
            upward: see `peak`.
        """
        if not runs:
            return 0
        source, result = self.row_bytes[self.stage.source], self.row_bytes[self.stage.result]
        whole = self.stage.sizes[self.stage.source] * source
        left = [self._following(rows, upward) * source for rows in bands]
        born = list(accumulate(rows.height * result for rows in bands))
        shared = whole + max(0, *(born[number] + left[number] - whole for number in range(len(bands))))
        needs = [max(self._turn(bands[number]) for number in run) for run in runs]
        apart = max(need + left[run[0]] + born[run[-1]] for need, run in zip(needs, runs, strict=True))
        return min(apart, max(needs) + shared)

    @cached_property
    def row_bytes(self) -> dict[int, int]:
        """Bytes of a row of each tensor of the stage."""
        return {index: row_bytes(self.distances.tensors[index]) for index in self.stage.sizes}

    def _following(self, wanted: Rows, upward: bool) -> int:
        """Rows of the source that later bands read."""
        if upward:
            return self.reads(Rows(wanted.start - 1, wanted.start)).end if wanted.start else 0
        is_last = wanted.end == self.stage.rows
        return (
            0 if is_last else self.stage.sizes[self.stage.source] - self.reads(Rows(wanted.end, wanted.end + 1)).start
        )

    def _peak(self, wanted: Rows, upward: bool) -> int:
        stage, source_bytes = self.stage, self.row_bytes[self.stage.source]
        here = self.reads(wanted)
        left = here.end if upward else stage.sizes[stage.source] - here.start
        born = stage.rows - wanted.end if upward else wanted.start
        dying = max(left - self._following(wanted, upward), 0) * source_bytes
        return self._highest(wanted, upward, left * source_bytes, born * self.row_bytes[stage.result], dying)

    def _turn(self, wanted: Rows) -> int:
        if wanted not in self._turns:
            copied = self._read_bytes(wanted)
            self._turns[wanted] = self._highest(wanted, False, copied, 0, copied)
        return self._turns[wanted]

    def _highest(self, wanted: Rows, upward: bool, left: int, born: int, dying: int) -> int:
        """Most bytes in use, where of the source there are `left` bytes, of which the rest of this band need `dying`."""
        stage, bytes_of = self.stage, self.row_bytes
        live: dict[int, int] = {stage.source: left}
        in_use = born + left
        peak = in_use
        for step, ending in zip(self.steps(wanted), stage.ending, strict=True):
            output = step.layer.output
            for index, rows in zip(step.layer.data, step.inputs, strict=True):
                if index in ending and index != stage.source:
                    # What was cut off is gone by now.
                    in_use -= live[index] - rows.height * bytes_of[index]
                    live[index] = rows.height * bytes_of[index]
            made = step.output.height * bytes_of[output]
            shared = self._shared(step, made, dying, upward, ending)
            peak = max(peak, in_use + made - shared + self.scratch.get(step.layer.operator.index, 0))
            live[output] = made
            in_use += made - sum(dying if index == stage.source else live[index] for index in ending)
        return peak

    def _read_bytes(self, wanted: Rows) -> int:
        """What layers are given of the source."""
        source = self.stage.source
        pairs = (pair for step in self.steps(wanted) for pair in zip(step.layer.data, step.inputs, strict=True))
        return sum(rows.height for rows in {rows for index, rows in pairs if index == source}) * self.row_bytes[source]

    def _shared(self, step: Step, made: int, dying: int, upward: bool, ending: frozenset[int]) -> int:
        if not ending:
            return 0
        heights = tuple(rows.height for rows in step.inputs)
        distances = self.distances.of(step.layer, heights, step.output.height)
        best = 0
        for index in ending:
            distance = distances[index]
            if distance is None:
                continue
            size = made
            if index == self.stage.source:
                size = dying
                if upward:
                    # The rows that die lie behind those that stay; the output can share with a copy of all that is read.
                    given = step.inputs[step.layer.data.index(index)].height * self.row_bytes[index]
                    size = min(dying, made - given)
                    distance += given - dying
            best = max(best, min(made - distance, size))
        return best
