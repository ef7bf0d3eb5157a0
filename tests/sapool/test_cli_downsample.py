"""`sapool downsample` as a user runs it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import jsonschema
import pytest

pytest.importorskip("torch")

from sapool.cli.main import main
from sapool.compress.rendering import schema
from sapool.pricing import price
from sapool.spec import parse

SEARCH = [
    "downsample", "--backbone", "mobilenet_v1", "--width", "0.1,0.2", "--resolution", "32", "--exact",
    "--strides", "12221,22121", "--pooling", "max,average", "--arena", "40KiB",
]  # fmt: skip


def test_json_meets_its_schema_and_says_what_the_network_costs(capsys):
    assert main([*SEARCH, "--target", "nrf52840", "--format", "json", "--limit", "2"]) == 0
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    assert result["profile"] == "cortex-m-cmsis-nn-dsp"
    assert len(result["front"]) == min(2, result["front_size"])
    for entry in result["front"]:
        cost = price(parse(entry["spec"]), profile=result["profile"])
        assert (entry["macs"], entry["model_bytes"]) == (cost.macs, cost.model_bytes)
        assert entry["arena_bytes"] <= 40 * 1024


def test_the_table_ends_in_specifications(capsys):
    assert main(SEARCH) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.endswith("specification"))
    for line in lines[start + 1 :]:
        _arena, model, macs, parameters, text = line.split()
        cost = price(parse(text))
        assert [int(word.replace(",", "")) for word in (model, macs, parameters)] == [
            cost.model_bytes, cost.macs, cost.parameters,
        ]  # fmt: skip
    assert "searching" in captured.err


def test_the_picture_has_a_mark_for_each_network(tmp_path, capsys):
    path = tmp_path / "front.svg"
    assert main([*SEARCH, "--format", "json", "--picture", str(path)]) == 0
    size = json.loads(capsys.readouterr().out)["front_size"]
    root = ET.fromstring(path.read_text("utf-8"))
    marks = [element for element in root.iter() if element.get("data-macs")]
    assert len(marks) == size > 1
    assert "budget" in path.read_text("utf-8")
    assert main([*SEARCH, "--format", "svg"]) == 0
    assert capsys.readouterr().out.startswith("<svg")


@pytest.mark.slow
def test_the_best_are_trained_and_ranked(capsys):
    arguments = ["--train", "2", "--data", "digits", "--epochs", "1", "--format", "json"]
    assert main([*SEARCH, *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    jsonschema.validate(result, schema())
    accuracies = [entry["val_accuracy"] for entry in result["trained"]]
    assert len(accuracies) == 2
    assert accuracies == sorted(accuracies, reverse=True)
    assert {entry["spec"] for entry in result["trained"]} == {entry["spec"] for entry in result["front"][:2]}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--arena", "1KiB"], 1, "the smallest reachable has an arena of"),
        (["--target", "nrf5284"], 2, "did you mean nrf52840"),
        (["--arena", "many"], 2, "is not a size"),
        (["--width", "wide"], 2, "are no numbers"),
        (["--train", "2"], 2, "--train and --data belong together"),
        (["--pooling", "maxx"], 2, "did you mean max"),
        (["--strides", "12"], 2, "none of"),
    ],
)
def test_bad_input_is_one_error(arguments, code, message, capsys):
    assert main([*SEARCH, *arguments]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""
