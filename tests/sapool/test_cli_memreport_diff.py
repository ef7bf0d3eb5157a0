"""`sapool memreport --diff`: models and stored reports on both sides."""

from __future__ import annotations

import json

import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from sapool.cli.main import main


@pytest.fixture
def files(tmp_path):
    small = Graph([T([1, 64], name="x"), T([1, 64], name="y")], [Op("RELU", [0], [1])], [0], [1])
    paths = [tmp_path / "before.tflite", tmp_path / "after.tflite"]
    for path, graph in zip(paths, (small, small_network()), strict=True):
        path.write_bytes(tflite(graph))
    return paths


def stored(path, target):
    out = path.with_suffix(".json")
    assert main(["memreport", str(path), "--target", target, "--format", "json", "-o", str(out)]) == 0
    return out


def compared(capsys, *arguments):
    capsys.readouterr()
    assert main(["memreport", *map(str, arguments), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_models_are_compared_from_the_first_to_the_second(files, capsys):
    before, after = files
    content = compared(capsys, before, "--diff", after)
    assert [content[side]["path"] for side in ("before", "after")] == [str(before), str(after)]
    assert content["figures"]["macs"] == {"before": 0, "after": 15008, "change": 15008}
    assert content["before"]["profile"] == "host64"
    assert main(["memreport", str(before), "--diff", str(after)]) == 0
    assert capsys.readouterr().out.startswith("before  ")


def test_stored_reports_say_the_same_as_their_models(files, capsys):
    before, after = files
    models = compared(capsys, before, "--diff", after, "--target", "cortex-m-reference")
    reports = [stored(path, "cortex-m-reference") for path in files]
    assert compared(capsys, reports[0], "--diff", reports[1]) == models
    assert compared(capsys, reports[0], "--diff", after) == models
    assert compared(capsys, before, "--diff", reports[1]) == models


def test_a_board_stands_for_its_profile(files, capsys):
    content = compared(capsys, *files[:1], "--diff", files[1], "-t", "nrf52840")
    assert content["after"]["profile"] == "cortex-m-cmsis-nn-dsp"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "svg"], "formats: text, json, markdown"),
        (["-t", "host64", "-t", "nrf52840"], "one target, not 2"),
        (["-t", "bogus"], "unknown target"),
    ],
)
def test_what_makes_no_sense_is_2(files, arguments, words, capsys):
    assert main(["memreport", str(files[0]), "--diff", str(files[1]), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_stored_report_of_another_profile_is_2(files, capsys):
    report = stored(files[0], "cortex-m-reference")
    assert main(["memreport", str(report), "--diff", str(files[1]), "-t", "host64"]) == 2
    assert "another profile" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01", None])
def test_unreadable_sides_are_3(files, content, tmp_path, capsys):
    for suffix in ("json", "tflite"):
        path = tmp_path / f"bad.{suffix}"
        if content is not None:
            path.write_bytes(content)
        for arguments in ([str(path), "--diff", str(files[0])], [str(files[0]), "--diff", str(path)]):
            assert main(["memreport", *arguments]) == 3
            assert capsys.readouterr().err.startswith(f"error: {path}")
