"""The schema data against the schema module that ships with LiteRT."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.oracle
ROOT = Path(__file__).resolve().parents[2]


def test_schema_data_are_up_to_date():
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    spec = importlib.util.spec_from_file_location("tflite_schema", ROOT / "tools" / "tflite_schema.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    stored = json.loads(tool.TARGET.read_text("utf-8"))
    current = tool.build(schema)
    # A newer LiteRT may know more; what is stored must not contradict it.
    assert stored["tables"].items() <= current["tables"].items()
    assert stored["operators"].items() <= current["operators"].items()
    for name, table in stored["options"].items():
        assert table["code"] == current["options"][name]["code"]
        assert table["fields"].items() <= current["options"][name]["fields"].items(), name
