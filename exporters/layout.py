"""How large the .tflite file of a graph is, without writing it.

The size of a flatbuffer follows from what is written in which order: every piece is aligned, and a vtable is written once
(`firmware_sim.flatbuffer_writer`). The order is that of the writer itself (`exporters.flatbuffer`); here nothing is copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from struct import Struct
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from exporters.flatbuffer import Writer
from exporters.graph import Graph, Operator, Tensor
from firmware_sim.flatbuffer_writer import DATA_ALIGNMENT, OFFSET_BYTES, scalar_bytes

_MOST_KNOWN: Final = 100_000


class _Step(NamedTuple):
    """What a piece did that is written alike again: bytes, vtables that had been written, largest alignment."""

    bytes: int
    vtables: tuple[tuple[int, ...], ...]
    alignment: int


def file_bytes(graph: Graph, *, description: str = "", metadata: Mapping[str, bytes] | None = None) -> int:
    """Size of the file that `exporters.flatbuffer.serialise` writes for the same arguments."""
    layout = _Layout(graph)
    layout.model(description, metadata or {})
    return layout.used_bytes


class _Layout(Writer):
    """The writer of a file, without bytes."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.met: list[tuple[int, ...]] = []

    def put(self, layout: Struct, values: Sequence[Any], position: int) -> None:
        """Nothing."""

    def copy(self, raw: bytes | memoryview, position: int) -> int:
        return position

    def vector(self, kind: str, values: Sequence[int | float | bool]) -> int:
        size = scalar_bytes(kind)
        return self.room(size * len(values), size)

    def offsets(self, values: Sequence[int]) -> int:
        return self.room(OFFSET_BYTES * len(values), OFFSET_BYTES)

    def constant(self, content: NDArray[Any] | bytes) -> int:
        count = len(content) if isinstance(content, bytes) else math.prod(content.shape) * content.itemsize
        return self.room(count, DATA_ALIGNMENT)

    def content(self) -> bytes:
        return b""

    def vtable(self, entries: tuple[int, ...]) -> int:
        self.met.append(entries)
        return super().vtable(entries)

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        q = tensor.quantization
        numbers = None if q is None else (len(q.scale), len(q.zero_point), q.dimension)
        key = (len(tensor.name.encode()), len(tensor.shape), tensor.dtype, buffer > 0, numbers)
        return self.again(key, lambda: super(_Layout, self).tensor(tensor, buffer))

    def operator(self, op: Operator) -> int:
        key = (op.op, op.op == self.codes[0], len(op.inputs), len(op.outputs), tuple(op.options.items()))
        return self.again(key, lambda: super(_Layout, self).operator(op))

    def again(self, key: Hashable, write: Callable[[], int]) -> int:
        """Move on as `write` does, from memory where a piece of the same `key` was written at a like position before."""
        start = self.used_bytes
        place = (key, start % DATA_ALIGNMENT)
        step = _KNOWN.get(place)
        if step is not None and all(vtable in self.vtables for vtable in step.vtables):
            self.largest_alignment = max(self.largest_alignment, step.alignment)
            self.used_bytes += step.bytes
            return self.used_bytes
        before, self.met = len(self.vtables), []
        end = write()
        if len(self.vtables) == before:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[place] = _Step(self.used_bytes - start, tuple(self.met), self.largest_alignment)
        return end


_KNOWN: Final[dict[tuple[Hashable, int], _Step]] = {}
