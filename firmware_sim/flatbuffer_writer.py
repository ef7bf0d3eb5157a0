"""Writes a flatbuffer table by table, by the slot numbers of the schema: the counterpart of `firmware_sim.flatbuffer`.

A flatbuffer is written from its end: what a table refers to lies behind it. A position is a distance from the end, which
does not change while the file grows. Every piece is aligned, and a vtable is written once. The rules, and so the bytes, are
those of google/flatbuffers, python/flatbuffers/builder.py, which makes several calls for each scalar.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from firmware_sim.schema import FILE_IDENTIFIER, Field

OFFSET_BYTES: Final = 4
DATA_ALIGNMENT: Final = 16
"""Of constant data; TFLM uses weights in place (schema.fbs, Buffer.data force_align)."""

_FORMATS: Final = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
_OFFSET: Final = "O"  # the format of the position of another piece
_MOST_ALIGNED: Final = 8  # of scalars


class FlatbufferWriter:
    """One file in the making. What a table refers to is written before the table; its position is an int.

    Attributes:
        used_bytes: how long the file is so far.
    """

    def __init__(self) -> None:
        self.used_bytes = 0
        self.largest_alignment = 1
        self.vtables: dict[tuple[int, ...], int] = {}
        self._bytes = bytearray(1 << 16)

    def table(self, fields: Mapping[str, Field], values: Mapping[str, Any]) -> int:
        """A table. Scalars that equal their default are left out.

        Args:
            fields: its slots by name.
            values: scalars, and positions of strings, vectors and tables, by the names of the slots.
        """
        start = self.used_bytes
        slots, formats, given = [], [], []
        for name, value in values.items():
            field = fields[name]
            default = field.default
            if value != default:  # an offset has none
                slots.append(field.slot)
                formats.append(_OFFSET if default is None else _FORMATS[field.kind])
                given.append(value)
        shape = _shape(tuple(slots), "".join(formats), start % _MOST_ALIGNED)
        self.used_bytes = end = start + shape.size
        if shape.alignment > self.largest_alignment:
            self.largest_alignment = shape.alignment
        for i, place in shape.offsets:
            given[i] = start + place - given[i]
        given.append(self.vtable(shape.vtable) - end)
        self.put(shape.layout, given[::-1], end)
        return end

    def string(self, value: str | bytes) -> int:
        """A string; bytes are taken as they are."""
        raw = value.encode() if isinstance(value, str) else value
        return self.copy(raw, self.room(len(raw) + 1, 1))

    def vector(self, kind: str, values: Sequence[int | float | bool]) -> int:
        """A vector of scalars of a kind, such as "int32"."""
        count, size = len(values), scalar_bytes(kind)
        position = self.room(count * size, size)
        self.put(_struct(f"I{count}{_FORMATS[kind]}"), (count, *values), position)
        return position

    def offsets(self, values: Sequence[int]) -> int:
        """A vector of tables or strings, given by their positions."""
        position = self.room(OFFSET_BYTES * len(values), OFFSET_BYTES)
        first = position - OFFSET_BYTES
        relative = [first - OFFSET_BYTES * i - value for i, value in enumerate(values)]
        self.put(_struct(f"I{len(values)}I"), (len(values), *relative), position)
        return position

    def data(self, raw: bytes | memoryview) -> int:
        """A vector of bytes that begins at a multiple of 16."""
        return self.copy(raw, self.room(len(raw), DATA_ALIGNMENT))

    def finish(self, root: int) -> bytes:
        """The file whose root table is at `root`."""
        self.align(self.largest_alignment, OFFSET_BYTES + len(FILE_IDENTIFIER))
        self.used_bytes += len(FILE_IDENTIFIER)
        self.used_bytes += OFFSET_BYTES
        self.put(_struct("I4s"), (self.used_bytes - root, FILE_IDENTIFIER), self.used_bytes)
        return self.content()

    # ---- where the pieces are -------------------------------------------------------------------------------------

    def align(self, size: int, following: int) -> None:
        """Pad so that `size` divides the position once `following` bytes more are written."""
        if size > self.largest_alignment:
            self.largest_alignment = size
        self.used_bytes += -(self.used_bytes + following) % size

    def room(self, size: int, alignment: int) -> int:
        """The position of a vector whose elements are in `size` bytes, with their number in front."""
        self.align(max(alignment, OFFSET_BYTES), size)  # the larger power of two is a multiple of the smaller
        self.used_bytes += size + OFFSET_BYTES
        return self.used_bytes

    def vtable(self, entries: tuple[int, ...]) -> int:
        """The position of a vtable: the size of the table, and how far its slots are from its beginning."""
        known = self.vtables.get(entries)
        if known is None:
            size = 2 * (len(entries) + 1)
            self.used_bytes += size
            known = self.vtables[entries] = self.used_bytes
            self.put(_struct(f"{len(entries) + 1}H"), (size, *entries), known)
        return known

    # ---- and what is in them --------------------------------------------------------------------------------------

    def put(self, layout: struct.Struct, values: Sequence[Any], position: int) -> None:
        """Write numbers."""
        index = self._index(position)  # may make the bytes longer
        layout.pack_into(self._bytes, index, *values)

    def copy(self, raw: bytes | memoryview, position: int) -> int:
        """Write the vector of bytes at `position`, which is given back."""
        index = self._index(position)
        start = index + OFFSET_BYTES
        self._bytes[index:start] = len(raw).to_bytes(OFFSET_BYTES, "little")
        self._bytes[start : start + len(raw)] = raw
        return position

    def content(self) -> bytes:
        """What is written so far."""
        index = self._index(self.used_bytes)
        return bytes(memoryview(self._bytes)[index:])

    def _index(self, position: int) -> int:
        missing = position - len(self._bytes)
        if missing > 0:
            self._bytes = bytearray(max(missing, len(self._bytes))) + self._bytes
        return len(self._bytes) - position


def scalar_bytes(kind: str) -> int:
    """Size of a scalar in a file."""
    return _struct(_FORMATS[kind]).size


class _Shape(NamedTuple):
    """How a table lies behind what was written before: its size with padding, which of its slots hold offsets and how far
    each of those is from there, what it is aligned to, its numbers from the beginning, and its vtable."""

    size: int
    offsets: tuple[tuple[int, int], ...]
    alignment: int
    layout: struct.Struct
    vtable: tuple[int, ...]


@cache
def _shape(slots: tuple[int, ...], formats: str, start: int) -> _Shape:
    """The shape of a table with these slots, in the order of writing, behind `start` bytes."""
    codes = formats.replace(_OFFSET, "I") + "i"  # at last, and so in front, where its vtable is
    used, alignment, layout = start, 1, ""
    places = []
    for code in codes:
        size = _struct(code).size
        padding = -used % size
        used += padding + size
        alignment = max(alignment, size)
        places.append(used - start)
        layout = f"{code}{padding}x{layout}"
    end = places.pop()
    known = dict(zip(slots, places, strict=True))
    entries = [known.get(slot, 0) for slot in range(max(slots, default=-1) + 1)]
    offsets = tuple((i, place) for i, (kind, place) in enumerate(zip(formats, places, strict=True)) if kind == _OFFSET)
    vtable = (end, *(place and end - place for place in entries))
    return _Shape(end, offsets, alignment, _struct(layout), vtable)


@cache
def _struct(layout: str) -> struct.Struct:
    return struct.Struct(f"<{layout}")
