"""Writes a flatbuffer table by table, by the slot numbers of the schema: the counterpart of `firmware_sim.flatbuffer`.

A flatbuffer is written from its end: what a table refers to lies behind it. A position is a distance from the end, which
does not change while the file grows. Every piece is aligned, and a vtable is written once. The rules, and so the bytes, are
those of google/flatbuffers, python/flatbuffers/builder.py, which makes several calls for each scalar.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from firmware_sim.schema import FILE_IDENTIFIER, Field

OFFSET_BYTES: Final = 4
DATA_ALIGNMENT: Final = 16
"""Of constant data; TFLM uses weights in place (schema.fbs, Buffer.data force_align)."""

_FORMATS: Final = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip


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
        places: dict[int, int] = {}
        for name, value in values.items():
            field = fields[name]
            if field.default is None:
                place = self.take(OFFSET_BYTES)
                self.put("I", (place - value,), place)
            elif value != field.default:
                place = self.take(_struct(_FORMATS[field.kind]).size)
                self.put(_FORMATS[field.kind], (value,), place)
            else:
                continue
            places[field.slot] = place
        end = self.take(OFFSET_BYTES)
        slots = [places.get(slot, 0) for slot in range(max(places, default=-1) + 1)]
        vtable = self.vtable((end - start, *(place and end - place for place in slots)))
        self.put("i", (vtable - end,), end)
        return end

    def string(self, value: str | bytes) -> int:
        """A string; bytes are taken as they are."""
        raw = value.encode() if isinstance(value, str) else value
        return self.copy(raw, self.room(len(raw), len(raw) + 1, 1))

    def vector(self, kind: str, values: Sequence[int | float | bool]) -> int:
        """A vector of scalars of a kind, such as "int32"."""
        packed = _struct(f"{len(values)}{_FORMATS[kind]}").pack(*values)
        return self.copy(packed, self.room(len(values), len(packed), scalar_bytes(kind)))

    def offsets(self, values: Sequence[int]) -> int:
        """A vector of tables or strings, given by their positions."""
        position = self.room(len(values), OFFSET_BYTES * len(values), OFFSET_BYTES)
        first = position - OFFSET_BYTES
        relative = [first - OFFSET_BYTES * i - value for i, value in enumerate(values)]
        self.put(f"{len(values)}I", relative, first)
        return position

    def data(self, raw: bytes | memoryview) -> int:
        """A vector of bytes that begins at a multiple of 16."""
        return self.copy(raw, self.room(len(raw), len(raw), DATA_ALIGNMENT))

    def finish(self, root: int) -> bytes:
        """The file whose root table is at `root`."""
        self.align(self.largest_alignment, OFFSET_BYTES + len(FILE_IDENTIFIER))
        self.used_bytes += len(FILE_IDENTIFIER)
        self.put("4s", (FILE_IDENTIFIER,), self.used_bytes)
        place = self.take(OFFSET_BYTES)
        self.put("I", (place - root,), place)
        return self.content()

    # ---- where the pieces are -------------------------------------------------------------------------------------

    def align(self, size: int, following: int) -> None:
        """Pad so that `size` divides the position once `following` bytes more are written."""
        if size > self.largest_alignment:
            self.largest_alignment = size
        self.used_bytes += -(self.used_bytes + following) % size

    def take(self, size: int) -> int:
        """The position of a scalar of that size."""
        self.align(size, 0)
        self.used_bytes += size
        return self.used_bytes

    def room(self, count: int, size: int, alignment: int) -> int:
        """The position of a vector of `count` elements in `size` bytes."""
        self.align(OFFSET_BYTES, size)
        self.align(alignment, size)
        self.used_bytes += size + OFFSET_BYTES
        self.put("I", (count,), self.used_bytes)
        return self.used_bytes

    def vtable(self, entries: tuple[int, ...]) -> int:
        """The position of a vtable: the size of the table, and how far its slots are from its beginning."""
        known = self.vtables.get(entries)
        if known is None:
            size = 2 * (len(entries) + 1)
            self.used_bytes += size
            known = self.vtables[entries] = self.used_bytes
            self.put(f"{len(entries) + 1}H", (size, *entries), known)
        return known

    # ---- and what is in them --------------------------------------------------------------------------------------

    def put(self, layout: str, values: Sequence[Any], position: int) -> None:
        """Write numbers."""
        index = self._index(position)  # may make the bytes longer
        _struct(layout).pack_into(self._bytes, index, *values)

    def copy(self, raw: bytes | memoryview, position: int) -> int:
        """Write the content of the vector at `position`, which is given back."""
        index = self._index(position) + OFFSET_BYTES
        self._bytes[index : index + len(raw)] = raw
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


@cache
def _struct(layout: str) -> struct.Struct:
    return struct.Struct(f"<{layout}")
