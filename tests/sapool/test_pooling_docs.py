"""docs/pooling.md says what the catalogue and the layers say."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from sapool import catalog, pooling  # noqa: E402
from sapool.pooling.registry import method  # noqa: E402

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pooling.md").read_text("utf-8")
ROWS = {
    cells[0].strip(" `"): cells[1:] for cells in re.findall(r"^\|(.+?)\|(.+?)\|(.+?)\|(.+?)\|(.+?)\|$", PAGE, re.M)[2:]
}


def test_every_method_has_a_row():
    assert set(ROWS) == set(catalog.POOLING)


@pytest.mark.parametrize("name", sorted(catalog.POOLING))
def test_the_options_are_those_of_the_method(name):
    options = dict(re.findall(r"`(\w+)`(?: \(([^)]*)\))?", ROWS[name][1]))
    assert list(options) == list(catalog.POOLING[name].options)
    for option, default in inspect.signature(method(name).__init__).parameters.items():
        if options.get(option) and default.default is not None:
            assert options[option] == {False: "off", 1.0: "1"}.get(default.default, str(default.default))


# The column "weights" for 32 channels and a map of 8x8.
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("max", 0), ("average", 0), ("blurpool", 0), ("softpool", 0), ("lip", 32**2), ("lip_original", 9 * 32**2),
        ("gaussian", 1.5 * 32**2), ("rnnpool", 7 / 16 * 32**2), ("self_attentive", (2**2 + 5) * 32**2), ("ulsam", 2 * 32),
        ("subspace_attention", 32**2 / 2 + 4 * 16),
    ],
)  # fmt: skip
def test_the_weights_are_those_of_the_layer(name, weights):
    pool = pooling.create(name, channels=32, stride=2, size=(8, 8))
    counted = [p.numel() for key, p in pool.named_parameters() if p.dim() > 1 and not key.startswith("positions")]
    assert sum(counted) == weights
