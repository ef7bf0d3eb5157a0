"""Slots of a flatbuffer, read with every offset checked against the bytes that are there.

The layout (https://flatbuffers.dev/internals): a table begins with a signed offset back to its vtable, which lists, per
slot, where in the table the field lies; strings, vectors and sub-tables are reached by unsigned offsets.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from firmware_sim.errors import ModelError
from firmware_sim.schema import Field

Scalar = int | float | bool

_FORMATS: Final = {
    "bool": "?", "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
_SCALARS: Final = {kind: struct.Struct(f"<{code}") for kind, code in _FORMATS.items()}
_ITEMS: Final = {f"[{kind}]": (code, struct.calcsize(f"<{code}")) for kind, code in _FORMATS.items()}
_U16: Final = _SCALARS["uint16"]
_U32: Final = _SCALARS["uint32"]
_I32: Final = _SCALARS["int32"]

# Vectors may overlap in a hostile file, so that its contents unfold to the square of its size. A well-formed file
# decodes to no more than its own size (weights are never decoded); the margin is for writers that share vectors.
_SHARING: Final = 4
_BASE_ALLOWANCE_BYTES: Final = 1 << 20

_TABLE_BYTES: Final = 8  # of the allowance: what a table takes at least

_FORMATS_KEPT: Final = 1024


class Buffer:
    """The bytes of one flatbuffer and how much of them has been decoded so far."""

    __slots__ = ("_left", "_size", "_vtables", "data", "view")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._size = len(data)
        self.view = memoryview(data)
        self._vtables: dict[int, tuple[int, ...]] = {}
        self._left = _SHARING * len(data) + _BASE_ALLOWANCE_BYTES

    def root(self) -> Table:
        """The root table."""
        return self.table(self.offset(0))

    def spend(self, count: int) -> None:
        """Count `count` decoded bytes against what a file of this size may unfold to.

        Raises:
            ModelError: the allowance is used up.
        """
        self._left -= count
        if self._left < 0:
            raise ModelError("damaged: its parts overlap, and would unfold to far more than the file holds")

    def scalar(self, kind: struct.Struct, position: int) -> Scalar:
        """The scalar at `position`, which is not negative.

        Raises:
            ModelError: it does not lie inside the file.
        """
        try:
            value: Scalar = kind.unpack_from(self.data, position)[0]
        except (struct.error, OverflowError):
            raise _outside(position, self._size) from None
        return value

    def offset(self, position: int) -> int:
        """Where the unsigned offset at `position` points to."""
        return position + self.scalar(_U32, position)  # type: ignore[return-value]  # the kind gives an integer

    def extent(self, position: int, item_bytes: int) -> tuple[int, int]:
        """Start and item count of the vector that the unsigned offset at `position` points to.

        Raises:
            ModelError: it does not lie inside the file.
        """
        start = position
        try:
            start += _U32.unpack_from(self.data, position)[0]
            count: int = _U32.unpack_from(self.data, start)[0]
        except (struct.error, OverflowError):
            raise _outside(start, self._size) from None
        start += 4
        if start + count * item_bytes > self._size:
            raise ModelError(
                f"damaged or truncated: {count} items of {item_bytes} bytes at byte {start} of {self._size}"
            )
        return start, count

    def table(self, position: int) -> Table:
        """The table at `position`.

        Raises:
            ModelError: it does not lie inside the file, or the allowance is used up.
        """
        self.spend(_TABLE_BYTES)
        try:
            vtable = position - _I32.unpack_from(self.data, position)[0]
        except (struct.error, OverflowError):
            raise _outside(position, self._size) from None
        slots = self._vtables.get(vtable)
        if slots is None:
            slots = self._vtables[vtable] = self.vtable(vtable, position)
        return Table(self, position, slots)

    def vtable(self, position: int, table: int) -> tuple[int, ...]:
        """Field offsets by slot, 0 for absent fields; of the vtable at `position`, which `table` is the first to name."""
        if position < 0:
            raise _outside(position, self._size)
        size = int(self.scalar(_U16, position))
        if size < 4 or size % 2 or position + size > self._size:
            raise ModelError(f"damaged: the table at byte {table} has no valid list of fields")
        self.spend(size)
        slots: tuple[int, ...] = struct.unpack_from(f"<{size // 2 - 2}H", self.data, position + 4)
        return slots


def _outside(position: int, size: int) -> ModelError:
    return ModelError(f"damaged or truncated: an offset points to byte {position} of {size}")


@lru_cache(_FORMATS_KEPT)
def _items(code: str, count: int) -> struct.Struct:
    """Reads `count` scalars. The cache of `struct` is emptied by a hundred formats, and channels come in more numbers."""
    return struct.Struct(f"<{count}{code}")


class Table:
    """One table. Absent fields give their default, None, or an empty vector."""

    __slots__ = ("_buffer", "_position", "_slots")

    def __init__(self, buffer: Buffer, position: int, slots: tuple[int, ...]) -> None:
        self._buffer = buffer
        self._position = position
        self._slots = slots

    def _find(self, field: Field) -> int:
        """Where the field lies; 0 if it is absent, for the file begins with something else."""
        slots, slot = self._slots, field.slot
        offset = slots[slot] if slot < len(slots) else 0
        return self._position + offset if offset else 0

    def has(self, field: Field) -> bool:
        """The field is present."""
        return self._find(field) != 0

    def slots(self) -> tuple[int, ...]:
        """The slots that are present, known or not."""
        return tuple(slot for slot, offset in enumerate(self._slots) if offset)

    def scalar(self, field: Field) -> Scalar:
        """Value of a scalar field, or its default."""
        slots, slot = self._slots, field.slot
        if slot < len(slots) and slots[slot]:
            return self._buffer.scalar(_SCALARS[field.kind], self._position + slots[slot])
        return 0 if field.default is None else field.default

    if TYPE_CHECKING:

        def integer(self, field: Field) -> int:
            """Value of an integer field, or its default."""
    else:
        integer = scalar

    def table(self, field: Field) -> Table | None:
        """The sub-table, or None."""
        position = self._find(field)
        return self._buffer.table(self._buffer.offset(position)) if position else None

    def tables(self, field: Field) -> list[Table]:
        """The vector of sub-tables; empty if absent."""
        position = self._find(field)
        if not position:
            return []
        buffer = self._buffer
        start, count = buffer.extent(position, 4)
        offsets = _items("I", count).unpack_from(buffer.data, start)
        return [buffer.table(start + 4 * number + offset) for number, offset in enumerate(offsets)]

    def vector(self, field: Field) -> tuple[Scalar, ...]:
        """The vector of scalars as a tuple; empty if absent."""
        position = self._find(field)
        if not position:
            return ()
        code, item_bytes = _ITEMS[field.kind]
        buffer = self._buffer
        start, count = buffer.extent(position, item_bytes)
        buffer.spend(count * item_bytes)
        return _items(code, count).unpack_from(buffer.data, start)

    if TYPE_CHECKING:

        def integers(self, field: Field) -> tuple[int, ...]:
            """A vector of integers."""

        def floats(self, field: Field) -> tuple[float, ...]:
            """A vector of floats."""
    else:
        integers = floats = vector

    def view(self, field: Field) -> memoryview | None:
        """The vector of bytes as a view into the file, or None if absent."""
        position = self._find(field)
        if not position:
            return None
        start, count = self._buffer.extent(position, 1)
        return self._buffer.view[start : start + count]

    def string(self, field: Field) -> str | None:
        """The string, or None if absent; bytes that are not UTF-8 are replaced by the replacement character."""
        view = self.view(field)
        if view is None:
            return None
        self._buffer.spend(len(view))
        return str(view, "utf-8", "replace")
