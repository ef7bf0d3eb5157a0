"""The operators that copy rows, and the tensors and constants that they and the bands need, while a graph is written."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from firmware_sim.model import Operator, Tensor
from firmware_sim.rewrite.bands.geometry import Rows
from firmware_sim.rewrite.draft import NEW_BUFFER, NEW_OPERATOR

# Versions of the operators for a type (lite/tools/versioning/op_version.cc).
_SLICE: Final = {"INT8": 2, "INT16": 4}
_CONCATENATION: Final = {"INT8": 2, "INT16": 3}
_MOST_PARTS: Final = 10
"""Inputs that TFLM's CONCATENATION takes (kernels/concatenation.cc, kMaxInputNum)."""


@dataclass(slots=True)
class Pieces:
    """Operators and tensors of a graph that is being written; `copies` as in `firmware_sim.rewrite.draft.DraftGraph`."""

    tensors: dict[int, Tensor]
    copies: dict[int, int]
    constants: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = field(default_factory=dict, init=False)
    operators: list[Operator] = field(default_factory=list, init=False)
    next: int = field(init=False)

    def __post_init__(self) -> None:
        self.next = max((*self.tensors, *self.copies)) + 1

    def slice(self, index: int, made: int, there: Rows, rows: Rows, number: int) -> int:
        """Some `rows` of a tensor of the file, of which those that are `there` are in `made`; for band `number`."""
        output = self.part(index, rows, number)
        begin = self.constant((0, rows.start - there.start, 0, 0), (4,))
        size = self.constant((-1, rows.height, -1, -1), (4,))
        version = _SLICE[self.tensors[made].type]
        self.operators.append(Operator(NEW_OPERATOR, "SLICE", version, (made, begin, size), (output,)))
        return output

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
        self.tensors[made] = whole.replaced(index=made, name=f"{whole.name};{what}{number}", shape=shape)
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
