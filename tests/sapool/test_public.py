"""The public surface: complete, sorted, and free of heavy imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sapool


def test_everything_public_is_there_and_sorted():
    assert sapool.__all__ == sorted(sapool.__all__)
    assert sorted(name for names in sapool._HOMES.values() for name in names) == sapool.__all__
    assert set(sapool.__all__) <= set(dir(sapool))


@pytest.mark.parametrize("name", ["ModelSpec", "parse", "UsageError", "memreport", "read"])
def test_names_lead_to_objects(name):
    assert callable(getattr(sapool, name))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sapool.nothing


def test_import_is_light():
    code = "import sys, sapool; print([m for m in ('torch', 'numpy', 'lightning', 'click') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
