"""Writes the TFLite schema as data: firmware_sim/schema/tflite.json has the part that this project reads, rest.json what
else is needed to write any file again without loss.

Run it after an update of ai-edge-litert, whose generated schema module is the source:

    python tools/tflite_schema.py

A flatbuffer table is a list of numbered slots, so names, slot numbers, kinds and defaults are all that a reader or a
writer needs; `tests/oracles/test_schema.py` holds the file against the generated module.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "firmware_sim" / "schema" / "tflite.json"
REST = TARGET.with_name("rest.json")

# Bits of one element; None where TFLM has no fixed size for it (lite/micro/memory_helpers.cc:48-105 counts an int4
# as one byte, which is the accountant's business and not the schema's).
_BITS = {
    "FLOAT32": 32, "FLOAT16": 16, "INT32": 32, "UINT8": 8, "INT64": 64, "STRING": None, "BOOL": 8, "INT16": 16,
    "COMPLEX64": 64, "INT8": 8, "FLOAT64": 64, "COMPLEX128": 128, "UINT64": 64, "RESOURCE": 32, "VARIANT": None,
    "UINT32": 32, "UINT16": 16, "INT4": 4, "BFLOAT16": 16,
}  # fmt: skip

_SCALARS = {
    "Bool": "bool", "Int8": "int8", "Uint8": "uint8", "Int16": "int16", "Uint16": "uint16", "Int32": "int32",
    "Uint32": "uint32", "Int64": "int64", "Uint64": "uint64", "Float32": "float32", "Float64": "float64",
}  # fmt: skip


# Which union a field of a generated class reads; the code of its member is in the field before it, named ..._type.
_UNIONS = {
    ("QuantizationParameters", "details"): "QuantizationDetails",
    ("DimensionMetadata", "array_segments"): "SparseIndexVector",
    ("DimensionMetadata", "array_indices"): "SparseIndexVector",
    ("Operator", "builtin_options"): "BuiltinOptions",
    ("Operator", "builtin_options2"): "BuiltinOptions2",
}


def _enum(cls: type) -> dict[str, int]:
    return {name: value for name, value in vars(cls).items() if isinstance(value, int) and not name.startswith("_")}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _fields(table: type) -> dict[str, dict[str, Any]]:
    """Slots of a generated table class: a method per field that asks for vtable offset 4 + 2 * slot."""
    fields: dict[str, dict[str, Any]] = {}
    for name, method in vars(table).items():
        if not inspect.isfunction(method) or name.endswith(("AsNumpy", "Length", "IsNone")):
            continue
        source = inspect.getsource(method)
        slot = re.search(r"self\._tab\.Offset\((\d+)\)", source)
        if slot is None:
            continue
        number = (int(slot.group(1)) - 4) // 2
        scalar = re.search(r"NumberTypes|number_types\.(\w+)Flags, (o|a) \+", source)
        if "self._tab.Vector(o)" in source:
            element = re.search(r"number_types\.(\w+)Flags, a \+", source)
            kind = f"[{_SCALARS[element.group(1)]}]" if element else "[table]"
            fields[_snake(name)] = {"slot": number, "kind": kind}
        elif "self._tab.String" in source:
            fields[_snake(name)] = {"slot": number, "kind": "string"}
        elif scalar is not None and scalar.group(1):
            default = re.search(r"return (\S+)\s*$", source.strip())
            value = json.loads(default.group(1).lower()) if default else 0
            fields[_snake(name)] = {"slot": number, "kind": _SCALARS[scalar.group(1)], "default": value}
        else:
            fields[_snake(name)] = {"slot": number, "kind": "table"}
    return dict(sorted(fields.items(), key=lambda item: item[1]["slot"]))


def build(schema: ModuleType) -> dict[str, Any]:
    """The data, from `ai_edge_litert.schema_py_generated` (passed in, so that a test can do the same)."""
    options = {
        name: {"code": code, "fields": _fields(getattr(schema, name))}
        for name, code in _enum(schema.BuiltinOptions).items()
        if name != "NONE"
    }
    structure = (
        "Model",
        "OperatorCode",
        "SubGraph",
        "Tensor",
        "QuantizationParameters",
        "Operator",
        "Buffer",
        "Metadata",
    )
    return {
        "source": "tensorflow/lite/schema/schema.fbs, by way of ai_edge_litert.schema_py_generated",
        "identifier": "TFL3",
        "operators": _enum(schema.BuiltinOperator),
        "tensor_types": {
            name: {"code": code, "bits": _BITS.get(name)} for name, code in _enum(schema.TensorType).items()
        },
        "padding": _enum(schema.Padding),
        "activation": _enum(schema.ActivationFunctionType),
        "tables": {name: _fields(getattr(schema, name)) for name in structure},
        "options": options,
    }


def build_rest(schema: ModuleType) -> dict[str, Any]:
    """Tables that `build` leaves out, the members of unions, and what the fields of kind "table" hold."""
    known = build(schema)
    tables = {
        name: table for name, table in vars(schema).items() if inspect.isclass(table) and hasattr(table, "GetRootAs")
    }
    holds = {}
    for name, table in tables.items():
        for method_name, method in vars(table).items():
            member = (
                re.search(r"obj = ([A-Z]\w+)\(\)", inspect.getsource(method)) if inspect.isfunction(method) else None
            )
            if member is not None and member.group(1) != "Table":
                holds[f"{name}.{_snake(method_name)}"] = member.group(1)
    holds.update({f"{table}.{field}": union for (table, field), union in _UNIONS.items()})
    return {
        "source": known["source"],
        "tables": {
            name: _fields(table)
            for name, table in tables.items()
            if name not in known["tables"] and name not in known["options"]
        },
        "unions": {
            union: {str(code): name for name, code in _enum(getattr(schema, union)).items() if name != "NONE"}
            for union in sorted(set(_UNIONS.values()))
        },
        "holds": dict(sorted(holds.items())),
    }


def main() -> None:
    from ai_edge_litert import schema_py_generated as schema

    for target, data in ((TARGET, build(schema)), (REST, build_rest(schema))):
        target.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {target}")


if __name__ == "__main__":
    main()
