"""The prices that `sapool models` lists are those of today's code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sapool import catalog, presets, prices
from sapool.cli.main import main
from sapool.spec import parse


def test_every_name_has_a_price():
    assert list(prices.stored()) == list(prices.named().values())
    assert set(prices.named()) == {*catalog.BACKBONES, *presets.names()}


@pytest.mark.parametrize("name", list(prices.named()))
def test_parameters_are_those_of_the_network(name):
    torch = pytest.importorskip("torch")
    from sapool import models

    row = prices.stored()[prices.named()[name]]
    with torch.device("meta"):
        net = models.build(parse(name))
    assert row["parameters"] == sum(p.numel() for p in net.parameters())


# Each takes about a second; the others are made by the same code.
@pytest.mark.slow
@pytest.mark.parametrize("name", [*sorted(catalog.BACKBONES), "subspace_v2_10_classes", "ulsam_v2_8_12"])
def test_a_stored_price_is_what_the_code_computes(name):
    pytest.importorskip("torch")
    text = prices.named()[name]
    assert prices.describe(text) == prices.stored()[text], "run python tools/model_prices.py"


def test_the_list_has_backbones_and_presets_with_their_figures(capsys):
    assert main(["models", "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content["backbones"]) == set(catalog.BACKBONES)
    assert content["backbones"]["mobilenet_v1"]["parameters"] == 3_217_226
    preset = content["presets"]["ulsam_v2_15_16"]
    assert preset["published"] == {"parameters": "2.77M", "mflops": "269.08"}
    assert preset["arena"]["exact"] is True
    assert content["modules"]["ulsam"] == {"groups": "int", "gain": "bool"}
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for model in (*content["backbones"].values(), *content["presets"].values()):
        for figure in (model["parameters"], model["macs"], model["arena"]["total_bytes"]):
            assert f"{figure:,}" in out


def test_a_preset_may_stand_in_place_of_a_specification(capsys):
    pytest.importorskip("torch")
    assert main(["models", "subspace_v2_10_classes:resolution=32", "--format", "json"]) == 0
    (model,) = json.loads(capsys.readouterr().out)["models"]
    assert model["spec"] == str(parse("subspace_v2_10_classes:resolution=32"))


@pytest.mark.parametrize("name", list(prices.named()))
def test_the_page_on_networks_has_the_same_figures(name):
    page = (Path(__file__).resolve().parents[2] / "docs" / "networks.md").read_text("utf-8")
    # Further down, what plans make of the presets has a table of its own.
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.split("|")]
    model = prices.stored()[prices.named()[name]]
    figures = (model["parameters"], model["macs"], model["arena"]["total_bytes"])
    assert set(cells) >= {f"{figure:,}" for figure in figures}
    for published in (preset.published for preset in presets.all() if preset.name == name):
        assert all(figure in row for figure in published.values())
