"""What bands whose rows stay need in memory, reckoned without planning, and which heights of them are worth a look.

As in `firmware_sim.rewrite.bands.estimate`; rows that were kept are in use all the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.estimate import Distances
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.bands.layers import row_bytes
from firmware_sim.rewrite.bands.lines import turns
from firmware_sim.rewrite.bands.stage import Stage, Step, Turn

_LEAST_BANDS: Final = 5  # one in front of a loop, three in it, one behind
_LOW: Final = 2  # rows of bands of which maps are left out one by one: higher ones are there to save multiplications
_STEP: Final = 1.25  # from one height to the next that is looked at


def line_bandings(stage: Stage) -> Iterator[Banding]:
    """Bands with rows that stay, most of them in a loop: per height of these the lowest ones in front and behind.

    Rows of all maps stay that are read more than once, or of all but one.
    """
    height = 1
    while (_LEAST_BANDS - 2) * height < stage.rows:
        heights = _heights(stage, height)
        if heights is not None:
            whole = Banding(stage, heights, in_loops=True, lines=True)
            kept = {index for turn in whole.turns() for index in turn.kept}
            if kept:
                yield whole
                for index in sorted(kept) if len(kept) > 1 and height <= _LOW else ():
                    other = replace(whole, again=frozenset([index]))
                    if turns(stage, heights, other.again) is not None:
                        yield other
        height = max(height + 1, int(_STEP * height))


def _heights(stage: Stage, height: int) -> tuple[int, ...] | None:
    for first in range(1, min(3 * height + 4, stage.rows - (_LEAST_BANDS - 2) * height)):
        found = turns(stage, (first, height, height, height))
        if found is None or len({_size(turn) for turn in found[1:]}) > 1:
            continue
        whole, left = divmod(stage.rows - first, height)
        for behind in range(whole - 2):
            last = left + behind * height
            heights = (first, *[height] * (whole - behind), *([last] if last else []))
            if turns(stage, heights) is not None:
                return heights
        return None
    return None


def _size(turn: Turn) -> tuple[tuple[int, int], ...]:
    return tuple((step.inputs[0].height, step.output.height) for step in turn.steps)


def peak_bytes(banding: Banding, loops: Sequence[range], distances: Distances, scratch: Mapping[int, int]) -> int:
    """Most bytes in use while a stage is computed.

    Args:
        banding: bands whose rows stay.
        loops: those of them that are written as loops.
        distances: of the network.
        scratch: bytes of scratch buffers by operator.
    """
    found = banding.turns()
    rows_of = {index: row_bytes(distances.tensors[index]) for index in banding.stage.sizes}
    counted = _Count(banding.stage, rows_of, distances, scratch)
    # In a loop the source gives way to the result, turn by turn: one end of it needs the most.
    turns, within = ({number for run in loops for number in run[cut]} for cut in (slice(None), slice(1, -1)))
    ends = [number for number in range(len(found)) if number not in within]
    return max(counted.peak(found, number, banding.bands[number], number in turns) for number in ends)


@dataclass(frozen=True, slots=True)
class _Count:
    stage: Stage
    row_bytes: Mapping[int, int]
    distances: Distances
    scratch: Mapping[int, int]

    def peak(self, found: Sequence[Turn], number: int, wanted: Rows, in_loop: bool) -> int:
        """Most bytes in use while a band is computed."""
        stage, bytes_of, turn = self.stage, self.row_bytes, found[number]
        following = found[number + 1] if number + 1 < len(found) else None
        here, size = self._reads(turn), stage.sizes[stage.source]
        left = size if following is None else self._reads(following).start
        dying = max(left - here.start, 0) * bytes_of[stage.source]
        after = {} if following is None else {i: rows.height * bytes_of[i] for i, rows in following.kept.items()}
        kept = {index: rows.height * bytes_of[index] for index, rows in turn.kept.items()}
        in_use = (
            (size - here.start) * bytes_of[stage.source] + wanted.start * bytes_of[stage.result] + sum(kept.values())
        )
        peak, live = 0, dict(kept)
        if in_loop:
            copied = here.height * bytes_of[stage.source]
            peak = in_use + copied
            in_use += copied - dying
            dying = copied
        for step, ending in zip(turn.steps, stage.ending, strict=True):
            output = step.layer.output
            for index, rows in zip(step.layer.data, step.inputs, strict=True):
                if index in ending and index != stage.source:
                    # What was cut off is gone by now.
                    there = rows if following is None else rows.hull(following.kept.get(index))
                    in_use -= live[index] - there.height * bytes_of[index]
                    live[index] = there.height * bytes_of[index]
            made = step.output.height * bytes_of[output]
            sizes = {i: dying if i == stage.source else live[i] - after.get(i, 0) for i in ending}
            shared = self._shared(step, made, sizes)
            peak = max(peak, in_use + made - shared + self.scratch.get(step.layer.operator.index, 0))
            in_use += made
            if output in kept and step.output.start < turn.kept[output].end:
                # Wrong rows lie where rows were kept: those that are right are copied behind these.
                right = (step.output.end - turn.kept[output].end) * bytes_of[output]
                peak = max(peak, in_use + right)
                in_use, made = in_use + right - made, right
            live[output] = kept.get(output, 0) + made
            in_use -= sum(sizes.values())
            live.update({index: after.get(index, 0) for index in ending if index != stage.source})
        return max(peak, in_use + wanted.height * bytes_of[stage.result]) if in_loop else peak

    def _reads(self, turn: Turn) -> Rows:
        """What layers are given of the source."""
        found: Rows | None = None
        for step in turn.steps:
            for index, rows in zip(step.layer.data, step.inputs, strict=True):
                found = rows.hull(found) if index == self.stage.source else found
        assert found is not None
        return found

    def _shared(self, step: Step, made: int, sizes: Mapping[int, int]) -> int:
        if not sizes:
            return 0
        heights = tuple(rows.height for rows in step.inputs)
        distances = self.distances.of(step.layer, heights, step.output.height)
        known = ((distances[index], size) for index, size in sizes.items())
        return max((min(made - distance, size) for distance, size in known if distance is not None), default=0)
