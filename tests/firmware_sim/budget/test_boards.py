"""Budgets for a board of the user's own, and for an application that needs more or less than the usual reserve."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tflite_files import small_network, tflite

from firmware_sim import memreport, read
from firmware_sim.budget import Status, Verdict, evaluate, load, state
from firmware_sim.budget.advice import advise
from firmware_sim.errors import UsageError
from firmware_sim.targets import DEFAULT_RESERVE, Reserve, get

CONTENT = tflite(small_network())
NEEDED = memreport(read(CONTENT), profile="cortex-m-reference").arena.minimum_bytes or 0


def board(id: str, ram_bytes: int) -> dict[str, object]:
    return {
        "id": id, "core": "cortex-m4", "profile": "cortex-m-reference",
        "regions": [
            {"name": "ram", "kind": "sram", "size_bytes": ram_bytes},
            {"name": "rom", "kind": "flash", "size_bytes": 1 << 20},
        ],
    }  # fmt: skip


def folder_with(folder: Path, *boards: dict[str, object]) -> Path:
    (folder / "m.tflite").write_bytes(CONTENT)
    content = boards[0] if len(boards) == 1 else {"schema": "sapool.targets/1", "targets": list(boards)}
    (folder / "boards.json").write_text(json.dumps(content), "utf-8")
    return folder


def judged(folder: Path, **keys: object) -> Verdict:
    (verdict,) = evaluate([state({"model": "m.tflite", **keys}, folder)]).results
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(("spare", "status"), [(0, Status.PASS), (-1, Status.FAIL)])
def test_a_board_of_ones_own_has_to_hold_the_model_beside_the_reserve(tmp_path, spare, status):
    folder = folder_with(tmp_path, board("mine", NEEDED + 1000 + spare))
    assert judged(folder, **{"target-file": "boards.json", "reserve-ram": 1000}).status is status
    assert judged(folder, **{"target-file": "boards.json"}).status is Status.FAIL  # the usual reserve is more


def test_a_reserve_on_a_board_that_is_known(tmp_path):
    folder = folder_with(tmp_path, board("mine", 1))
    flash_bytes = get("stm32f407vg").flash.size_bytes
    for spare, status in ((0, Status.PASS), (1, Status.FAIL)):
        reserve = flash_bytes - len(CONTENT) + spare
        assert judged(folder, **{"target": "stm32f407vg", "reserve-flash": reserve}).status is status


def test_one_of_several_boards_is_named(tmp_path):
    folder = folder_with(tmp_path, board("small", 10), board("large", 1 << 20))
    file = {"target-file": "boards.json"}
    assert judged(folder, **file, target="large").status is Status.PASS
    assert judged(folder, **file, target="small").status is Status.FAIL
    with pytest.raises(UsageError, match="has 2 boards") as error:
        state({"model": "m.tflite", **file}, folder)
    assert "small, large" in str(error.value)
    with pytest.raises(UsageError, match="no board 'huge'"):
        state({"model": "m.tflite", **file, "target": "huge"}, folder)


def test_what_two_budgets_say_of_one_model_does_not_mix(tmp_path):
    """Two files may have boards of one name, and two budgets other reserves."""
    folder = folder_with(tmp_path, board("mine", NEEDED))
    (folder / "other.json").write_text(json.dumps(board("mine", 1 << 20)), "utf-8")
    tight = {"model": "m.tflite", "target-file": "boards.json"}
    budgets = [
        state({**tight, "reserve-ram": 0}, folder), state({**tight, "reserve-ram": 1}, folder),
        state({**tight, "target-file": "other.json"}, folder),
    ]  # fmt: skip
    assert [result.status for result in evaluate(budgets).results] == [Status.PASS, Status.FAIL, Status.PASS]


def test_the_configuration_names_them(tmp_path):
    folder = folder_with(tmp_path, board("mine", 1 << 20))
    text = (
        '[[budget]]\nmodel = "m.tflite"\ntarget-file = "boards.json"\n'
        'reserve-ram = "24 KiB"\nregions = { ram = "64 KiB" }\n'
    )
    (folder / "sapool.toml").write_text(text, "utf-8")
    (budget,) = load(folder / "sapool.toml").budgets
    assert (budget.target, budget.regions) == ("mine", {"ram": 65536})
    assert budget.reserve == Reserve(24 * 1024, DEFAULT_RESERVE.flash_bytes)
    for line, word in (
        ('target-file = "none.json"', "none.json: cannot be read"), ('profile = "host64"\narena = 1', "exclude"),
    ):  # fmt: skip
        (folder / "sapool.toml").write_text(text.replace('target-file = "boards.json"', line), "utf-8")
        if word == "exclude":
            (folder / "sapool.toml").write_text(text + line, "utf-8")
        with pytest.raises(UsageError, match=word):
            load(folder / "sapool.toml")


def test_a_reserve_needs_a_board(tmp_path):
    with pytest.raises(UsageError, match="'reserve-ram' needs a board"):
        state({"model": "m.tflite", "profile": "host64", "arena": 1, "reserve-ram": 1}, tmp_path)


def test_shrinking_is_advised_for_what_the_command_knows(tmp_path):
    from support.tflite_files import doubling_convolution

    from firmware_sim.rewrite.shrink import shrink

    small = memreport(read(shrink(doubling_convolution(), kernels="reference").content), profile="cortex-m-reference")
    folder = folder_with(tmp_path, board("mine", (small.arena.minimum_bytes or 0) + 15))
    (folder / "m.tflite").write_bytes(doubling_convolution())
    verdict = judged(folder, **{"target-file": "boards.json", "reserve-ram": 0})
    assert verdict.status is Status.FAIL
    texts = [remedy.text for remedy in advise(verdict).remedies if remedy.kind == "shrink"]
    assert len(texts) == 1
    assert texts[0].startswith("sapool shrink --target cortex-m-reference:")
