"""How large the .tflite file of a graph is, without writing it.

The size of a flatbuffer follows from what is written in which order: every piece is aligned, and a vtable is written once.
The order is that of the writer itself (`exporters.flatbuffer`); here its pieces only move a position. Source of the rules:
google/flatbuffers, python/flatbuffers/builder.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from exporters.flatbuffer import Writer
from exporters.graph import Graph, Operator, Tensor
from firmware_sim import schema

_OFFSET_BYTES: Final = 4
_ALIGNMENT_BYTES: Final = 16  # of constants, as in firmware_sim.flatbuffer_writer
_BYTES: Final = {"bool": 1, "int8": 1, "uint8": 1, "int32": 4, "uint32": 4, "float32": 4, "int64": 8}

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
    return layout.builder.used_bytes


class _Position:
    """Stands in for a flatbuffers.Builder: counts the bytes from the end of the file, and writes nothing."""

    def __init__(self) -> None:
        self.used_bytes = 0
        self.largest_alignment = 1
        self.vtables: set[tuple[int, ...]] = set()

    def align(self, size: int, following: int) -> None:
        """Pad so that `size` divides the position once `following` bytes more are written."""
        self.largest_alignment = max(self.largest_alignment, size)
        self.used_bytes += -(self.used_bytes + following) % size

    def vector(self, count: int, size: int, alignment: int) -> int:
        self.align(_OFFSET_BYTES, count * size)
        self.align(alignment, count * size)
        self.used_bytes += count * size + _OFFSET_BYTES
        return self.used_bytes

    def string(self, length: int) -> int:
        self.align(_OFFSET_BYTES, length + 1)
        self.used_bytes += length + 1 + _OFFSET_BYTES
        return self.used_bytes

    def finish(self) -> None:
        following = _OFFSET_BYTES + len(schema.FILE_IDENTIFIER)
        self.align(self.largest_alignment, following)
        self.used_bytes += following


class _Layout(Writer):
    """The writer of a file, on a position."""

    builder: _Position

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.builder = _Position()
        self.met: list[tuple[int, ...]] = []

    def table(self, fields: Mapping[str, schema.Field], values: Mapping[str, Any]) -> int:
        position = self.builder
        start = position.used_bytes
        places: dict[int, int] = {}
        for name, value in values.items():
            field = fields[name]
            if field.default is None or value != field.default:
                size = _OFFSET_BYTES if field.default is None else _BYTES[field.kind]
                position.align(size, 0)
                position.used_bytes += size
                places[field.slot] = position.used_bytes
        position.align(_OFFSET_BYTES, 0)
        position.used_bytes += _OFFSET_BYTES
        end = position.used_bytes
        slots = max(places, default=-1) + 1
        vtable = (*(end - places[slot] if slot in places else 0 for slot in range(slots)), end - start)
        self.met.append(vtable)
        if vtable not in position.vtables:
            position.vtables.add(vtable)
            position.used_bytes += 2 * (slots + 2)
        return end

    def string(self, value: str | bytes) -> int:
        return self.builder.string(len(value.encode() if isinstance(value, str) else value))

    def vector(self, kind: str, values: Sequence[int | float | bool]) -> int:
        size = _BYTES[kind]
        return self.builder.vector(len(values), size, size)

    def offsets(self, values: Sequence[int]) -> int:
        return self.builder.vector(len(values), _OFFSET_BYTES, _OFFSET_BYTES)

    def constant(self, content: NDArray[Any] | bytes) -> int:
        count = len(content) if isinstance(content, bytes) else math.prod(content.shape) * content.itemsize
        return self.builder.vector(count, 1, _ALIGNMENT_BYTES)

    def finish(self, root: int) -> bytes:
        self.builder.finish()
        return b""

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
        position = self.builder
        start = position.used_bytes
        place = (key, start % _ALIGNMENT_BYTES)
        step = _KNOWN.get(place)
        if step is not None and position.vtables.issuperset(step.vtables):
            position.largest_alignment = max(position.largest_alignment, step.alignment)
            position.used_bytes += step.bytes
            return position.used_bytes
        before, self.met = len(position.vtables), []
        end = write()
        if len(position.vtables) == before:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[place] = _Step(position.used_bytes - start, tuple(self.met), position.largest_alignment)
        return end


_KNOWN: Final[dict[tuple[Hashable, int], _Step]] = {}
