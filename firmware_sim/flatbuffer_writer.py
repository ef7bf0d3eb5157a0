"""Writes a flatbuffer table by table, by the slot numbers of the schema: the counterpart of `firmware_sim.flatbuffer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import flatbuffers
import numpy as np

from firmware_sim.schema import FILE_IDENTIFIER, Field

_ALIGNMENT: Final = 16  # of constant data; TFLM uses weights in place (schema.fbs, Buffer.data force_align)
_DTYPES: Final = {
    "bool": np.dtype("?"), "int8": np.dtype("i1"), "uint8": np.dtype("u1"), "int16": np.dtype("<i2"),
    "uint16": np.dtype("<u2"), "int32": np.dtype("<i4"), "uint32": np.dtype("<u4"), "int64": np.dtype("<i8"),
    "uint64": np.dtype("<u8"), "float32": np.dtype("<f4"), "float64": np.dtype("<f8"),
}  # fmt: skip
_SCALARS: Final[Mapping[str, Callable[..., None]]] = {
    "bool": flatbuffers.Builder.PrependBoolSlot,
    "int8": flatbuffers.Builder.PrependInt8Slot,
    "uint8": flatbuffers.Builder.PrependUint8Slot,
    "int16": flatbuffers.Builder.PrependInt16Slot,
    "uint16": flatbuffers.Builder.PrependUint16Slot,
    "int32": flatbuffers.Builder.PrependInt32Slot,
    "uint32": flatbuffers.Builder.PrependUint32Slot,
    "int64": flatbuffers.Builder.PrependInt64Slot,
    "uint64": flatbuffers.Builder.PrependUint64Slot,
    "float32": flatbuffers.Builder.PrependFloat32Slot,
    "float64": flatbuffers.Builder.PrependFloat64Slot,
}


class FlatbufferWriter:
    """One file in the making. What a table refers to is written before the table; its position is an int."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1 << 16)

    def table(self, fields: Mapping[str, Field], values: Mapping[str, Any]) -> int:
        """A table. Scalars that equal their default are left out.

        Args:
            fields: its slots by name.
            values: scalars, and positions of strings, vectors and tables, by the names of the slots.
        """
        b = self.builder
        b.StartObject(max((f.slot for f in fields.values()), default=-1) + 1)
        for name, value in values.items():
            field = fields[name]
            if field.default is None:
                b.PrependUOffsetTRelativeSlot(field.slot, value, 0)
            else:
                _SCALARS[field.kind](b, field.slot, value, field.default)
        return int(b.EndObject())

    def string(self, value: str | bytes) -> int:
        """A string; bytes are taken as they are."""
        return int(self.builder.CreateString(value))

    def vector(self, kind: str, values: Sequence[int | float | bool]) -> int:
        """A vector of scalars of a kind, such as "int32"."""
        return int(self.builder.CreateNumpyVector(np.asarray(values, _DTYPES[kind])))

    def offsets(self, values: Sequence[int]) -> int:
        """A vector of tables or strings, given by their positions."""
        b = self.builder
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependUOffsetTRelative(value)
        return int(b.EndVector())

    def data(self, raw: bytes | memoryview) -> int:
        """A vector of bytes that begins at a multiple of 16."""
        b = self.builder
        b.StartVector(1, len(raw), _ALIGNMENT)
        b.head = b.head - len(raw)
        b.Bytes[b.head : b.head + len(raw)] = raw
        return int(b.EndVector())

    def finish(self, root: int) -> bytes:
        """The file whose root table is at `root`."""
        self.builder.Finish(root, FILE_IDENTIFIER)
        return bytes(self.builder.Output())
