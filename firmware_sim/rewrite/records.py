"""A .tflite file as tables that keep every field, so that what is not touched is written again as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final, Union

from firmware_sim.errors import ModelError
from firmware_sim.flatbuffer import Buffer, Scalar, Table
from firmware_sim.flatbuffer_writer import FlatbufferWriter
from firmware_sim.schema import Field
from firmware_sim.schema.rest import ALL_TABLES, HOLDS, UNIONS

Value = Union[int, float, bool, bytes, memoryview, tuple[Scalar, ...], "Record", tuple["Record", ...]]

_MAX_DEPTH: Final = 16  # of tables in tables; the schema has six levels


@dataclass(frozen=True, slots=True)
class Record:
    """One table: its name in schema.fbs and the fields that are present and say more than their default.

    Strings are bytes, vectors of bytes are views into the file, vectors of other scalars are tuples.
    """

    table: str
    fields: Mapping[str, Value]

    def replaced(self, **fields: Value | None) -> Record:
        """The same record with other values; None removes a field."""
        kept = {name: value for name, value in self.fields.items() if name not in fields}
        return Record(self.table, {**kept, **{name: value for name, value in fields.items() if value is not None}})

    def records(self, field: str) -> tuple[Record, ...]:
        """A vector of tables; empty if absent."""
        return self.fields.get(field, ())  # type: ignore[return-value]  # the schema says so of the fields it is used for

    def integers(self, field: str) -> tuple[int, ...]:
        """A vector of integers; empty if absent."""
        return self.fields.get(field, ())  # type: ignore[return-value]

    def integer(self, field: str) -> int:
        """A scalar, by default that of the schema."""
        value = self.fields.get(field, ALL_TABLES[self.table][field].default)
        return int(value) if isinstance(value, int | float) else 0


class _Extent(Buffer):
    """A buffer that notes how far the flatbuffer reaches."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.end_bytes = 8  # offset of the root and identifier

    def reach(self, end: int) -> None:
        self.end_bytes = max(self.end_bytes, end)

    def scalar(self, kind: Struct, position: int) -> Scalar:
        value = super().scalar(kind, position)
        self.reach(position + kind.size)
        return value

    def extent(self, position: int, item_bytes: int) -> tuple[int, int]:
        start, count = super().extent(position, item_bytes)
        self.reach(start + count * item_bytes)
        return start, count

    def table(self, position: int) -> Table:
        table = super().table(position)
        self.reach(position + 4)
        return table

    def vtable(self, position: int, table: int) -> tuple[int, ...]:
        slots = super().vtable(position, table)
        self.reach(position + 4 + 2 * len(slots))
        return slots


def read_records(data: bytes) -> tuple[Record, int]:
    """The root record of a file that `firmware_sim.model.read` accepts, and where its flatbuffer ends.

    Raises:
        ModelError: the file is damaged, or has fields that are newer than the schema here and would get lost.
    """
    buffer = _Extent(data)
    root = _record(buffer.root(), "Model", 0)
    return root, buffer.end_bytes


def _record(table: Table, name: str, depth: int) -> Record:
    if depth > _MAX_DEPTH:
        raise ModelError("damaged: its tables contain each other")
    fields = ALL_TABLES[name]
    by_slot = {field.slot: field for field in fields.values()}
    values: dict[str, Value] = {}
    for slot in table.slots():
        field = by_slot.get(slot)
        if field is None:
            raise ModelError(
                f"table {name} has a field in slot {slot}, which is newer than the schema known here",
                hint="Rewriting the file would lose it. Update sapool.",
            )
        values[field.name] = _value(table, name, field, depth)
    # A stored default says no more than an absent field.
    return Record(name, {key: value for key, value in values.items() if value != fields[key].default})


def _value(table: Table, name: str, field: Field, depth: int) -> Value:
    if field.kind == "table":
        inner = table.table(field)
        assert inner is not None  # only present fields are asked for
        return _record(inner, _member(table, name, field), depth + 1)
    if field.kind == "[table]":
        member = HOLDS[f"{name}.{field.name}"]
        return tuple(_record(inner, member, depth + 1) for inner in table.tables(field))
    if field.kind in ("string", "[uint8]"):
        view = table.view(field)
        assert view is not None
        return bytes(view) if field.kind == "string" else view
    return table.vector(field) if field.kind.startswith("[") else table.scalar(field)


def _member(table: Table, name: str, field: Field) -> str:
    """The table that a field holds; for a union its member, which the field before it names."""
    held = HOLDS[f"{name}.{field.name}"]
    if held not in UNIONS:
        return held
    code = table.integer(ALL_TABLES[name][f"{field.name}_type"])
    if code not in UNIONS[held]:
        raise ModelError(
            f"{name}.{field.name} is of the unknown kind {code}, newer than the schema known here",
            hint="Rewriting the file would lose it. Update sapool.",
        )
    return UNIONS[held][code]


def write_records(root: Record) -> bytes:
    """The flatbuffer of a root record; the same record gives the same bytes."""
    writer = FlatbufferWriter()
    return writer.finish(_write(writer, root))


def _write(writer: FlatbufferWriter, record: Record) -> int:
    fields = ALL_TABLES[record.table]
    return writer.table(
        fields, {name: _written(writer, record.table, fields[name], value) for name, value in record.fields.items()}
    )


def _written(writer: FlatbufferWriter, table: str, field: Field, value: Value) -> Scalar:
    if isinstance(value, Record):
        return _write(writer, value)
    if field.kind == "[table]":
        return writer.offsets([_write(writer, inner) for inner in value])  # type: ignore[union-attr, arg-type]
    if field.kind == "string":
        return writer.string(value)  # type: ignore[arg-type]
    if field.kind == "[uint8]":
        return writer.data(value)  # type: ignore[arg-type]
    if field.kind.startswith("["):
        return writer.vector(field.kind.strip("[]"), value)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]
