"""The bytes are those of the flatbuffers library."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.flatbuffer_writer import FlatbufferWriter
from firmware_sim.schema import FILE_IDENTIFIER, Field

pytestmark = pytest.mark.oracle

SCALARS = {
    "bool": (st.booleans(), "Bool", "?"),
    "int8": (st.integers(-128, 127), "Int8", "i1"),
    "uint8": (st.integers(0, 255), "Uint8", "u1"),
    "int32": (st.integers(-(2**31), 2**31 - 1), "Int32", "<i4"),
    "uint32": (st.integers(0, 2**32 - 1), "Uint32", "<u4"),
    "int64": (st.integers(-(2**63), 2**63 - 1), "Int64", "<i8"),
    "float32": (st.floats(width=32, allow_nan=False, allow_infinity=False), "Float32", "<f4"),
}


@st.composite
def scalars(draw):
    kind = draw(st.sampled_from(sorted(SCALARS)))
    return kind, draw(SCALARS[kind][0])


@st.composite
def vectors(draw):
    kind = draw(st.sampled_from(sorted(SCALARS)))
    return kind, draw(st.lists(SCALARS[kind][0], max_size=9))


PIECES = st.one_of(
    st.tuples(st.just("table"), st.lists(st.one_of(st.none(), scalars()), max_size=5)),
    st.tuples(st.just("vector"), vectors()),
    st.tuples(st.just("string"), st.text(max_size=9)),
    st.tuples(st.just("data"), st.binary(max_size=70_000 // 1000)),
    st.tuples(st.just("offsets"), st.integers(0, 3)),
)


def slots(values, known):
    """A table with a slot for each value: a scalar with the default 0, or the last piece for None."""
    fields, given_values = {}, {}
    for slot, value in enumerate(values):
        name = f"slot {slot}"
        if value is None:
            if known:
                fields[name], given_values[name] = Field(name, slot, "table", None), known[-1]
        else:
            default = False if value[0] == "bool" else 0
            fields[name], given_values[name] = Field(name, slot, value[0], default), value[1]
    return fields, given_values


def ours(pieces):
    writer, known = FlatbufferWriter(), []
    for kind, content in pieces:
        if kind == "table":
            known.append(writer.table(*slots(content, known)))
        elif kind == "vector":
            known.append(writer.vector(*content))
        elif kind == "string":
            known.append(writer.string(content))
        elif kind == "data":
            known.append(writer.data(content))
        else:
            known.append(writer.offsets(known[-content:] if content else []))
    return writer.finish(writer.table({}, {}))


def theirs(pieces):
    b, known = flatbuffers.Builder(16), []

    def table(fields, values):
        b.StartObject(max((field.slot for field in fields.values()), default=-1) + 1)
        for name, value in values.items():
            field = fields[name]
            if field.default is None:
                b.PrependUOffsetTRelativeSlot(field.slot, value, 0)
            else:
                getattr(b, f"Prepend{SCALARS[field.kind][1]}Slot")(field.slot, value, field.default)
        return b.EndObject()

    for kind, content in pieces:
        if kind == "table":
            known.append(table(*slots(content, known)))
        elif kind == "vector":
            known.append(b.CreateNumpyVector(np.asarray(content[1], np.dtype(SCALARS[content[0]][2]))))
        elif kind == "string":
            known.append(b.CreateString(content))
        elif kind == "data":
            b.StartVector(1, len(content), 16)
            b.head = b.head - len(content)
            b.Bytes[b.head : b.head + len(content)] = content
            known.append(b.EndVector())
        else:
            members = known[-content:] if content else []
            b.StartVector(4, len(members), 4)
            for member in reversed(members):
                b.PrependUOffsetTRelative(member)
            known.append(b.EndVector())
    b.Finish(table({}, {}), FILE_IDENTIFIER)
    return bytes(b.Output())


@given(st.lists(PIECES, max_size=12))
def test_the_bytes_are_those_of_the_library(pieces):
    assert ours(pieces) == theirs(pieces)


def test_a_file_that_outgrows_its_room():
    pieces = [("data", bytes(range(256)) * 700), ("string", "a"), ("data", b"x" * 400_001), ("table", [("int32", 7)])]
    assert ours(pieces) == theirs(pieces)
