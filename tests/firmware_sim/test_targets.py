"""The boards and their data files, and whether models fit them."""

from __future__ import annotations

import datetime
import itertools
import json
from pathlib import Path

import pytest

import firmware_sim.targets as targets
from firmware_sim.errors import UsageError
from firmware_sim.targets import Reserve

KIB = 1024
DATA = Path(targets.__file__).parent / "data"
EVERY = pytest.mark.parametrize("target", targets.all(), ids=lambda target: target.id)


def test_the_well_known_boards_are_there():
    assert set(targets.ids()) >= {
        "arduino-nano-33-ble-sense",
        "ensemble-e7",
        "esp32-s3",
        "imxrt1060",
        "nrf52840",
        "nrf5340",
        "rp2040",
        "stm32f446re",
        "stm32f746",
        "stm32h743",
    }


# RAM that vendors' overview tables state for the whole chip, in KiB: what the regions add up to.
@pytest.mark.parametrize(
    ("id", "kib"),
    [
        ("stm32f746", 320 + 16),  # ST: 320 Kbytes of SRAM with DTCM, and 16 of ITCM
        ("stm32h743", 192 + 864),  # ST: 192 Kbytes of TCM RAM, 864 Kbytes of user SRAM (and 4 of backup SRAM)
        ("stm32f446re", 128),
        ("nrf52840", 256),
        ("nrf5340", 512),
        ("rp2040", 264),
        ("esp32-s3", 512),
        ("imxrt1060", 1024),
    ],
)
def test_regions_add_up_to_the_ram_of_the_chip(id, kib):
    ram = sum(region.size_bytes for region in targets.get(id).regions if region.kind != "flash")
    assert ram == kib * KIB


@pytest.mark.parametrize(("id", "kib"), [("stm32f746", 320), ("stm32h743", 512), ("rp2040", 264), ("imxrt1060", 768)])
def test_an_arena_may_span_regions_that_touch(id, kib):
    block = targets.get(id).blocks[0]
    assert sum(region.size_bytes for region in block) == kib * KIB


@EVERY
def test_every_figure_has_a_source_and_a_date(target):
    datetime.date.fromisoformat(target.checked)
    assert target.sources.keys() == {"core", "clock_hz"}
    assert all(target.sources.values())
    for region in target.regions:
        assert region.source
        assert region.checked == target.checked


@EVERY
def test_regions_do_not_overlap(target):
    ordered = sorted(target.regions, key=lambda region: region.base)
    for first, second in itertools.pairwise(ordered):
        assert first.base + first.size_bytes <= second.base, (first.name, second.name)


@EVERY
def test_the_profile_suits_the_core(target):
    expected = "cortex-m-cmsis-nn"
    if target.mve:
        expected += "-mve"
    elif target.dsp:
        expected += "-dsp"
    if not target.core.startswith("Cortex-M"):
        expected = "ilp32-reference"
    assert target.profile == expected


@EVERY
def test_contiguous_regions_name_each_other(target):
    by_name = {region.name: region for region in target.regions}
    assert len(by_name) == len(target.regions)
    for region in target.regions:
        for other in region.contiguous_with:
            assert region.name in by_name[other].contiguous_with


def test_one_target_reads_one_file(monkeypatch):
    read = []
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, **kw: read.append(self.name) or original(self, **kw))
    targets.get.cache_clear()
    targets.get("rp2040")
    assert read == ["rp2040.json"]


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
def test_files_are_named_by_their_id(path):
    assert json.loads(path.read_text())["id"] == path.stem


def test_an_unknown_target_gets_the_nearest_names():
    with pytest.raises(UsageError, match="stm32f746") as error:
        targets.get("stm32f747")
    assert error.value.exit_code == 2
    with pytest.raises(UsageError, match="known targets: arduino"):
        targets.get("zzz")


def test_case_does_not_matter():
    assert targets.get("STM32F746") == targets.get("stm32f746")


# One block of 128 KiB and no other: the reserve of 16 KiB has to share it.
@pytest.mark.parametrize(("arena", "fits", "margin"), [(112 * KIB, True, 0), (112 * KIB + 1, False, -1)])
def test_the_reserve_shares_the_only_block(arena, fits, margin):
    result = targets.fit(targets.get("stm32f446re"), arena, 1000)
    assert (result.fits, result.margin_bytes) == (fits, margin)


def test_the_reserve_goes_elsewhere_where_it_can():
    assert targets.fit(targets.get("stm32h743"), 512 * KIB, 1000).margin_bytes == 0


def test_the_reserve_can_be_changed():
    target = targets.get("stm32f446re")
    assert targets.fit(target, 128 * KIB, 1000, reserve=Reserve(ram_bytes=0)).fits
    assert not targets.fit(target, 100 * KIB, 1000, reserve=Reserve(ram_bytes=64 * KIB)).fits


def test_the_model_has_to_leave_room_for_code():
    target = targets.get("stm32f446re")
    assert targets.fit(target, 1000, 384 * KIB).fits
    result = targets.fit(target, 1000, 384 * KIB + 1)
    assert not result.fits
    assert [row.name for row in result.regions if not row.fits] == ["flash"]
    assert targets.fit(target, 1000, 512 * KIB, reserve=Reserve(flash_bytes=0)).fits


def test_the_arena_fills_regions_in_address_order():
    result = targets.fit(targets.get("stm32f746"), 100 * KIB, 5000)
    used = {row.name: row.used_bytes for row in result.regions}
    assert used == {"dtcm": 64 * KIB, "sram1": 36 * KIB, "sram2": 0, "flash": 5000}


def test_what_is_too_much_shows_in_the_last_region():
    result = targets.fit(targets.get("stm32f746"), 400 * KIB, 5000)
    assert sum(row.used_bytes for row in result.regions if row.kind != "flash") == 400 * KIB
    assert not result.fits
