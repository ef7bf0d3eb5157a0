"""`sapool memreport`."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support.tflite_files import Graph, Op, T, small_network, tflite

from firmware_sim import memreport, read, targets
from firmware_sim.report import schema
from firmware_sim.rewrite.shrink import shrink
from sapool.cli.main import main

ROOT = Path(__file__).parents[2]
CONTENT = tflite(small_network())


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "ein Modell größer.tflite"
    path.write_bytes(CONTENT)
    return path


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sapool.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


def test_text_goes_to_standard_output(model, capsys):
    assert main(["memreport", str(model)]) == 0
    out, err = capsys.readouterr()
    report = memreport(read(model))
    assert out.startswith(str(model))
    assert f"total    {report.arena.total_bytes:,} bytes" in out
    assert "host64" in out
    assert err == ""


def test_json_is_one_report(model, capsys):
    assert main(["memreport", str(model), "--format", "json", "--target", "STM32F746"]) == 0
    content = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema()).validate(content)
    assert content["target"]["id"] == "stm32f746"
    assert content["profile"]["id"] == "cortex-m-cmsis-nn-dsp"
    assert any("assumptions" in note for note in content["notes"])


def test_several_targets_are_several_reports(model, capsys):
    arguments = ["memreport", str(model), "-t", "nrf52840", "-t", "cortex-m-reference"]
    assert main([*arguments, "--format", "json"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["profile"]["id"] for report in reports] == ["cortex-m-cmsis-nn-dsp", "cortex-m-reference"]
    assert reports[1]["target"] is None
    assert main(arguments) == 0
    assert capsys.readouterr().out.count(str(model)) == 2


def test_several_targets_in_one_table_and_never_in_one_picture(model, capsys):
    arguments = ["memreport", str(model), "-t", "nrf52840", "-t", "host64", "--format"]
    assert main([*arguments, "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["profile"] for row in rows] == ["cortex-m-cmsis-nn-dsp"] * 6 + ["host64"] * 6
    assert main([*arguments, "markdown"]) == 0
    assert capsys.readouterr().out.count("### ") == 2
    for format in ("html", "svg"):
        assert main([*arguments, format]) == 2
        assert "one target, not 2" in capsys.readouterr().err
        assert main(["memreport", str(model), "--format", format]) == 0
        assert "<svg" in capsys.readouterr().out


def test_output_is_a_file(model, tmp_path, capsys):
    path = tmp_path / "new" / "report.json"
    assert main(["memreport", str(model), "--format", "json", "-o", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert str(path) in err
    assert json.loads(path.read_text())["schema"] == "sapool.memreport/1"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_an_output_that_cannot_be_written_is_a_usage_error(model, capsys):
    assert main(["memreport", str(model), "-o", str(model / "below a file")]) == 2
    assert "cannot write" in capsys.readouterr().err


CASES = {
    "no such file": (lambda folder: folder / "none.tflite", 3),
    "a folder": (lambda folder: folder, 3),
    "not a .tflite": (lambda folder: put(folder, b"this is text, and more of it\n" * 20), 3),
    "empty": (lambda folder: put(folder, b""), 3),
    "truncated": (lambda folder: put(folder, CONTENT[: len(CONTENT) // 2]), 3),
    "cut after the head": (lambda folder: put(folder, CONTENT[:8]), 3),
}


def put(folder: Path, content: bytes) -> Path:
    path = folder / "bad.tflite"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("format", ["text", "json"])
def test_files_that_cannot_be_read_are_3(case, format, tmp_path, capsys):
    make, code = CASES[case]
    path = make(tmp_path)
    assert main(["memreport", str(path), "--format", format]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {path}")
    assert "internal error" not in err


@pytest.mark.parametrize("case", ["no such file", "not a .tflite", "truncated"])
def test_no_traceback_in_a_process_of_its_own(case, tmp_path):
    make, code = CASES[case]
    done = run("memreport", make(tmp_path))
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_an_unknown_target_is_2_before_the_file_is_read():
    done = run("memreport", "none.tflite", "--target", "stm32f747")
    assert done.returncode == 2
    assert "unknown target 'stm32f747'" in done.stderr
    assert "stm32f746" in done.stderr
    assert "Traceback" not in done.stderr


def test_neither_torch_nor_lightning_is_loaded(model):
    source = (
        "import sys; from sapool.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'lightning', 'onnx', 'onnxruntime', 'tflite_micro', 'ai_edge_litert'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy or code else 0)"
    )
    for arguments in (["memreport", str(model), "-t", "stm32f746"], ["targets"]):
        done = subprocess.run(
            [sys.executable, "-c", source, *arguments],
            capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_pipes_get_no_colour(model, environment):
    done = run("memreport", model, "-t", "stm32f746", **environment)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_terminals_get_colour_unless_no_color_is_set(model, no_color, coloured):
    import pty

    leader, follower = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    if no_color:
        environment["NO_COLOR"] = no_color
    process = subprocess.Popen(
        [sys.executable, "-m", "sapool.cli", "memreport", str(model), "-t", "stm32f746"],
        stdout=follower, cwd=ROOT, env=environment,
    )  # fmt: skip
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break  # the terminal's other end is closed
        if not piece:
            break
        output += piece
    os.close(leader)
    assert process.wait(60) == 0
    assert (b"\x1b[" in output) is coloured


def test_the_reserve_is_stated_in_every_format_and_can_be_changed(model, capsys):
    arguments = ["memreport", str(model), "-t", "stm32f446re"]
    assert main([*arguments, "--format", "json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["target"]["ram_reserve_bytes"], before["target"]["flash_reserve_bytes"]) == (16384, 131072)
    arguments += ["--reserve-ram", "20 KiB", "--reserve-flash", "1000"]
    assert main([*arguments, "--format", "json"]) == 0
    after = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema()).validate(after)
    assert (after["target"]["ram_reserve_bytes"], after["target"]["flash_reserve_bytes"]) == (20480, 1000)
    assert before["target"]["margin_bytes"] - after["target"]["margin_bytes"] == 4096
    note = "The fit leaves 20,480 bytes (20.0 KiB) of RAM for stack, heap and globals and 1,000 bytes of flash for code"
    assert any(text == f"{note}: as asked for." for text in after["notes"])
    for format in ("text", "markdown", "html"):
        assert main([*arguments, "--format", format]) == 0
        out = " ".join(capsys.readouterr().out.split())
        assert note in out
        assert "reserved" in out
        assert "20,480" in out


def test_a_reserve_that_leaves_no_room_says_so(model, capsys):
    assert main(["memreport", str(model), "-t", "nrf52832", "--reserve-ram", "64KiB"]) == 0
    out = capsys.readouterr().out
    assert "does not fit nrf52832" in out
    assert "too small" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-t", "rp2040", "--reserve-ram", "much"], "--reserve-ram: 'much' is not a size"),
        (["-t", "rp2040", "--reserve-flash", "-1"], "--reserve-flash: '-1' is not a size"),
        (["--reserve-ram", "1"], "a reserve is for a board"),
        (["-t", "host64", "--reserve-flash", "1"], "name one with --target"),
        (["-t", "rp2040", "--diff", "x.tflite", "--reserve-ram", "1"], "--diff holds nothing against a board"),
    ],
)
def test_reserves_that_make_no_sense_are_2(arguments, words, model, capsys):
    assert main(["memreport", str(model), *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


@pytest.fixture
def board(tmp_path) -> Path:
    path = tmp_path / "board.json"
    path.write_text(json.dumps({**targets.record(targets.get("stm32f746")), "id": "my-board"}), "utf-8")
    return path


def test_a_board_of_ones_own(board, model, capsys):
    arguments = ["memreport", str(model), "--target-file", str(board), "--format", "json"]
    assert main(arguments) == 0
    own = json.loads(capsys.readouterr().out)
    assert own["target"]["id"] == "my-board"
    assert main(["memreport", str(model), "-t", "stm32f746", "--format", "json"]) == 0
    ours = json.loads(capsys.readouterr().out)
    assert {**own["target"], "id": ""} == {**ours["target"], "id": ""}
    assert own["arena"] == ours["arena"]
    assert main([*arguments, "-t", "nrf52840"]) == 0
    assert [report["target"]["id"] for report in json.loads(capsys.readouterr().out)] == ["nrf52840", "my-board"]


def test_a_board_of_ones_own_chooses_the_profile_of_a_comparison(board, model, capsys):
    arguments = ["memreport", str(model), "--diff", str(model), "--format", "json"]
    assert main([*arguments, "--target-file", str(board)]) == 0
    own = capsys.readouterr().out
    assert main([*arguments, "-t", "cortex-m-cmsis-nn-dsp"]) == 0
    assert own == capsys.readouterr().out
    assert main([*arguments, "--target-file", str(board), "-t", "host64"]) == 2
    assert "one target, not 2" in capsys.readouterr().err


def test_a_target_file_that_is_wrong_is_2_before_the_model_is_read(board, capsys):
    board.write_text('{"id": "x",\n "core": "M4",\n "prfile": "host64"}')
    assert main(["memreport", "none.tflite", "--target-file", str(board)]) == 2
    assert capsys.readouterr().err == (
        f"error: {board}:3: 'prfile': is no field that is known\n  did you mean 'profile'?\n"
    )
    assert main(["memreport", "none.tflite", "-t", str(board)]) == 2
    assert "--target-file" in capsys.readouterr().err


def test_says_what_shrinking_would_save(tmp_path, capsys):
    graph = Graph([T([1, 64, 64, 4]), T([1, 64, 64, 4])], [Op("ABS", [0], [1])], inputs=[0], outputs=[1])
    path = tmp_path / "abs.tflite"
    path.write_bytes(tflite(graph))
    assert main(["memreport", str(path), "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main(["memreport", str(path), "--format", "json", "--shrink"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["arena"] == plain["arena"]
    reference, known = report["notes"][-2:]
    total = plain["arena"]["total_bytes"]
    assert reference == (
        f"sapool shrink would save 16,384 bytes for reference kernels: an arena of {total - 16_384:,} instead of {total:,} "
        "(head 16,384 instead of 32,768), with the same outputs."
    )
    assert known == reference.replace("reference", "all known")
    assert main(["memreport", str(path), "--target", "stm32f746", "--shrink", "--format", "markdown"]) == 0
    assert "would save 16,384 bytes for cmsis-nn-dsp kernels" in capsys.readouterr().out
    assert main(["memreport", str(path), "--shrink", "--diff", str(path)]) == 2


def test_says_that_a_planned_file_is_not_shrunk_again(tmp_path, capsys):
    graph = Graph([T([1, 64, 64, 4]), T([1, 64, 64, 4])], [Op("ABS", [0], [1])], inputs=[0], outputs=[1])
    path = tmp_path / "abs.tflite"
    path.write_bytes(shrink(tflite(graph)).content)
    assert main(["memreport", str(path), "--shrink", "-t", "host64"]) == 0
    assert "sapool shrink does not take this file" in capsys.readouterr().out
