"""`sapool targets`."""

from __future__ import annotations

import json

import pytest

from firmware_sim import targets
from sapool.cli.main import main


def run(capsys, *arguments: object) -> str:
    assert main(["targets", *map(str, arguments)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def boards(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines()[1:] if line.startswith("  ")]


def test_every_board_is_listed_under_its_vendor(capsys):
    table = run(capsys)
    assert sorted(boards(table)) == list(targets.ids())
    vendor = ""
    for line in table.splitlines()[1:]:
        if not line.startswith("  "):
            vendor = line
        else:
            assert targets.get(line.split()[0]).vendor == vendor
    assert max(map(len, table.splitlines())) <= 130


def test_a_line_has_core_clock_ram_and_flash(capsys):
    lines = {line.split()[0]: line.split() for line in run(capsys).splitlines()}
    assert lines["stm32f746"][1:7] == ["Cortex-M7", "216", "320", "KiB", "1,024", "KiB"]
    # Neither the clock of this board nor flash of that one is entered.
    assert lines["apollo4p"][1:3] == ["Cortex-M4", "?"]
    assert lines["spresense"][1:6] == ["Cortex-M4", "156", "1,536", "KiB", "-"]


@pytest.mark.parametrize(
    ("arguments", "keep"),
    [
        (["--vendor", "nordic"], lambda t: t.vendor == "Nordic Semiconductor"),
        (["--core", "m33"], lambda t: t.core == "Cortex-M33"),
        (["--core", "Cortex-M0+"], lambda t: t.core == "Cortex-M0+"),
        (["--core", "RISC-V"], lambda t: t.core.startswith("RISC-V")),
        (["--core", "xtensa"], lambda t: t.core.startswith("Xtensa")),
        (["--min-ram", "512 KiB"], lambda t: t.arena_block_bytes >= 512 * 1024),
        (
            ["--vendor", "ST", "--core", "M4", "--min-ram", "150kB"],
            lambda t: t.vendor == "STMicroelectronics" and t.core == "Cortex-M4" and t.arena_block_bytes >= 150_000,
        ),
    ],
)
def test_filters(arguments, keep, capsys):
    expected = sorted(target.id for target in targets.all() if keep(target))
    assert expected
    assert sorted(boards(run(capsys, *arguments))) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vendor", "Acme"], "there are: Alif Semiconductor, Ambiq"),
        (["--core", "M3"], "no board is left with the core 'M3'"),
        (["--min-ram", "1000MiB"], "no board is left that has 1,048,576,000 bytes"),
        (["--min-ram", "lots"], "--min-ram: 'lots' is not a size"),
        (["rp2041"], "did you mean rp2040"),
        (["--target-file", "none.json"], "none.json: cannot be read: No such file"),
    ],
)
def test_what_makes_no_sense_is_2(arguments, words, capsys):
    assert main(["targets", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


@pytest.mark.parametrize("id", ["rp2040", "ra4m1", "esp32-c3", "stm32n6570-dk"])
def test_one_target_is_shown_with_everything(id, capsys):
    out = run(capsys, id)
    target = targets.get(id)
    for region in target.regions:
        assert f"  {region.name}" in out
        assert f"{region.size_bytes / 1024:,.1f}".removesuffix(".0") in out
        assert all(source in out for source in region.source.split("; "))
    for source in target.sources.values():
        assert all(part in out for part in source.split("; "))
    assert all(note in out for note in target.notes)
    assert all(f"{reference} (not opened)" in out for reference in target.references)
    assert ("FPU not known" in out) == (target.fpu is None)
    assert target.profile in out


def test_json_has_the_sources(capsys):
    content = json.loads(run(capsys, "--format", "json"))
    assert content["schema"] == "sapool.targets/1"
    assert sorted(target["id"] for target in content["targets"]) == list(targets.ids())
    assert all(region["source"] for target in content["targets"] for region in target["regions"])


def test_what_is_printed_can_be_edited_and_read_again(tmp_path, capsys):
    path = tmp_path / "boards.json"
    path.write_text(run(capsys, "stm32f746", "spresense", "--format", "json"), "utf-8")
    assert targets.load(path) == (targets.get("stm32f746"), targets.get("spresense"))
    assert run(capsys, "--target-file", path) == run(capsys, "stm32f746", "spresense")
    content = json.loads(path.read_text("utf-8"))
    content["targets"][1]["regions"][0]["size_bytes"] = "1 MiB"
    path.write_text(json.dumps(content), "utf-8")
    assert "1,024 KiB at 0x0d000000" in run(capsys, "--target-file", path)


def test_a_board_with_nothing_but_the_least(tmp_path, capsys):
    path = tmp_path / "board.json"
    region = {"name": "ram", "kind": "sram", "size_bytes": 100}
    path.write_text(json.dumps({"id": "b", "core": "x", "profile": "host64", "regions": [region]}), "utf-8")
    assert run(capsys, "--target-file", path).splitlines() == [
        "b: b",
        "  chip     -",
        "  core     x, ? MHz, FPU not known",
        "  profile  host64",
        "  ram      sram, 0.1 KiB, usable for the arena",
    ]
