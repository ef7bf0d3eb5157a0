"""The TFLite flatbuffer schema as data: operator codes, tensor types, and the numbered slots of each table.

`tflite.json` is written by `tools/tflite_schema.py`. A reader or a writer needs nothing of the schema but these numbers,
so no generated code is shipped and the base install needs no schema package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

_DATA: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("tflite.json").read_text("utf-8"))


class Field(NamedTuple):
    """One slot of a flatbuffer table.

    `kind` is a scalar ("int8", "int32", "float32", "bool", ...), "string", "table", or a vector of one of these ("[int32]").
    `default` is the value of an absent scalar; None for everything else.
    """

    name: str
    slot: int
    kind: str
    default: int | float | bool | None


class OptionsTable(NamedTuple):
    """A member of the union BuiltinOptions: its name in schema.fbs, its code in the union, its fields by name."""

    name: str
    code: int
    fields: Mapping[str, Field]


class TensorType(NamedTuple):
    """Element type: name as in schema.fbs ("INT8"), code, and bits per element (None where TFLM knows no size)."""

    name: str
    code: int
    bits: int | None


def fields(raw: dict[str, dict[str, Any]]) -> dict[str, Field]:
    """Fields of a table from their JSON, by name."""
    return {name: Field(name, f["slot"], f["kind"], f.get("default")) for name, f in raw.items()}


FILE_IDENTIFIER: Final[bytes] = _DATA["identifier"].encode("ascii")
OPERATORS: Final[Mapping[str, int]] = _DATA["operators"]
OPERATOR_NAMES: Final[Mapping[int, str]] = {code: name for name, code in OPERATORS.items()}
TENSOR_TYPES: Final[Mapping[str, TensorType]] = {
    name: TensorType(name, raw["code"], raw["bits"]) for name, raw in _DATA["tensor_types"].items()
}
TENSOR_TYPE_BY_CODE: Final[Mapping[int, TensorType]] = {kind.code: kind for kind in TENSOR_TYPES.values()}
PADDING: Final[Mapping[str, int]] = _DATA["padding"]
ACTIVATION: Final[Mapping[str, int]] = _DATA["activation"]
TABLES: Final[Mapping[str, Mapping[str, Field]]] = {name: fields(raw) for name, raw in _DATA["tables"].items()}
OPTIONS: Final[Mapping[str, OptionsTable]] = {
    name: OptionsTable(name, raw["code"], fields(raw["fields"])) for name, raw in _DATA["options"].items()
}
OPTIONS_BY_CODE: Final[Mapping[int, OptionsTable]] = {table.code: table for table in OPTIONS.values()}
