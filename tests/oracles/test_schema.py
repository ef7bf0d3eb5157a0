"""The schema data against the schema module that ships with LiteRT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tools import tool as load

from firmware_sim.schema.rest import ALL_TABLES, HOLDS, UNIONS

pytestmark = pytest.mark.oracle
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def schema():
    return pytest.importorskip("ai_edge_litert.schema_py_generated")


@pytest.fixture
def tool():
    return load("tflite_schema")


def test_schema_data_are_up_to_date(schema, tool):
    stored = json.loads(tool.TARGET.read_text("utf-8"))
    current = tool.build(schema)
    # A newer LiteRT may know more; what is stored must not contradict it.
    assert stored["tables"].items() <= current["tables"].items()
    assert stored["operators"].items() <= current["operators"].items()
    for name, table in stored["options"].items():
        assert table["code"] == current["options"][name]["code"]
        assert table["fields"].items() <= current["options"][name]["fields"].items(), name


def test_the_rest_of_the_schema_is_up_to_date(schema, tool):
    stored, current = json.loads(tool.REST.read_text("utf-8")), tool.build_rest(schema)
    assert stored["tables"].items() <= current["tables"].items()
    assert stored["holds"].items() <= current["holds"].items()
    assert all(members.items() <= current["unions"][union].items() for union, members in stored["unions"].items())


def test_every_field_that_holds_a_table_says_which():
    tables = {*ALL_TABLES, *UNIONS}
    for name, fields in ALL_TABLES.items():
        for field in fields.values():
            if "table" in field.kind:
                assert HOLDS[f"{name}.{field.name}"] in tables
    assert all(member in ALL_TABLES for members in UNIONS.values() for member in members.values())
