"""The boards and their data files."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from pathlib import Path

import pytest

import firmware_sim.targets as targets
from firmware_sim import profiles
from firmware_sim.errors import UsageError

KIB = 1024
DATA = Path(targets.__file__).parent / "data"
EVERY = pytest.mark.parametrize("target", targets.all(), ids=lambda target: target.id)
FILES = pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)

# What was opened: a file of a public repository at a commit, or an address; then a remark.
SOURCE = re.compile(r"([\w.-]+/[\w.-]+@[0-9a-f]{10}:[\w./+-]+|https://\S+)( \(.+\))?")


def test_every_vendor_has_a_board():
    assert {target.vendor for target in targets.all()} == {
        "Alif Semiconductor", "Ambiq", "Analog Devices", "Arduino", "Espressif", "Infineon", "Microchip", "NXP",
        "Nordic Semiconductor", "Raspberry Pi", "Renesas", "STMicroelectronics", "Silicon Labs", "Sony",
    }  # fmt: skip
    assert len(targets.ids()) >= 44


# Sizes and addresses as the linker scripts, device trees and tables of the vendors and their ports state them; the largest
# block of RAM without a gap, its first address, and the flash, in KiB.
@pytest.mark.parametrize(
    ("id", "arena", "base", "flash"),
    [
        ("stm32f746", 64 + 240 + 16, 0x20000000, 1024),
        ("stm32h743", 512, 0x24000000, 2048),
        ("stm32f446re", 128, 0x20000000, 512),
        ("stm32f407vg", 112 + 16, 0x20000000, 1024),
        ("stm32n6570-dk", 400 + 624 + 1024 + 4 * 448, 0x24000000, 128 * 1024),
        ("nrf52840", 256, 0x20000000, 1024),
        ("nrf5340", 512, 0x20000000, 1024),
        ("nrf54l15", 188, 0x20000000, 1428),
        ("rp2040", 256 + 4 + 4, 0x20000000, 2048),
        ("rp2350", 512 + 4 + 4, 0x20000000, 4096),
        ("esp32", 192, 0x3FFB0000, 4096),
        ("imxrt1060", 768, 0x20200000, 8192),
        ("lpc55s69", 4 * 64 + 16, 0x20000000, 630),
        ("ensemble-e8", 4096 + 4096, 0x02000000, 5632),
        ("efm32gg11", 128 + 128 + 256, 0x20000000, 2048),
        ("max78000", 32 + 32 + 48 + 16, 0x20000000, 512),
        ("spresense", 1536, 0x0D000000, None),
    ],
)
def test_what_the_sources_state(id, arena, base, flash):
    target = targets.get(id)
    assert target.arena_block_bytes == arena * KIB
    assert target.blocks[0][0].base == base
    assert (target.flash and target.flash.size_bytes) == (flash and flash * KIB)


# RAM that overview tables state for the whole chip, in KiB: what the regions add up to.
@pytest.mark.parametrize(
    ("id", "kib"),
    [
        ("stm32h743", 192 + 864),  # 192 Kbytes of TCM RAM, 864 Kbytes of user SRAM (and 4 of backup SRAM)
        ("stm32n6570-dk", 4224),  # 4.2 Mbytes of contiguous SRAM
        ("nrf54l15", 256),
        ("esp32", 520),
        ("esp32-s2", 320),
        ("esp32-s3", 512),
        ("esp32-c3", 400 - 16),  # 16 KB for cache
        ("esp32-c6", 512 + 16),
        ("esp32-p4", 768 + 32),
        ("rp2350", 520),
        ("imxrt1060", 1024),
        ("lpc55s69", 320 - 16),  # 16 KB of USB RAM
        ("mcxn947", 512),
        ("apollo3-blue", 384),
    ],
)
def test_regions_add_up_to_the_ram_of_the_chip(id, kib):
    ram = sum(region.size_bytes for region in targets.get(id).regions if region.kind != "flash")
    assert ram == kib * KIB


@EVERY
def test_every_figure_has_a_source_that_was_opened_and_a_date(target):
    assert datetime.date.fromisoformat(target.checked) <= datetime.date(2026, 11, 25)
    assert target.sources.keys() == {"core"} | ({"clock_hz"} if target.clock_hz else set())
    for source in (*target.sources.values(), *(region.source for region in target.regions)):
        for part in source.split("; "):
            assert SOURCE.fullmatch(part), part
    assert all(region.checked == target.checked for region in target.regions)


@EVERY
def test_what_people_read_is_there(target):
    assert all((target.name, target.chip, target.vendor, target.core))
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", target.id)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region.name) for region in target.regions)
    assert all(note.endswith(".") for note in target.notes)


@EVERY
def test_regions_do_not_overlap(target):
    placed = sorted(
        (region.base, region.size_bytes, region.name) for region in target.regions if region.base is not None
    )
    for (start, size, name), (base, _, other) in itertools.pairwise(placed):
        assert start + size <= base, (name, other)


@EVERY
def test_ram_has_an_address(target):
    assert all(region.base is not None for region in target.regions if region.kind != "flash")
    assert not any(region.usable_for_arena for region in target.regions if region.kind == "flash")


@EVERY
def test_the_profile_suits_the_core(target):
    expected = "cortex-m-cmsis-nn"
    if target.mve:
        expected += "-mve"
    elif target.dsp:
        expected += "-dsp"
    if not target.core.startswith("Cortex-M"):
        expected = "ilp32-reference"
        assert any("ESP-NN" in note for note in target.notes)
    assert target.profile == expected
    assert target.profile in profiles.names()


@EVERY
def test_instruction_sets_suit_the_core(target):
    # DSP instructions are a part of M4 and M7, an option of M33; Helium is one of M55 and M85.
    assert target.dsp or target.core not in ("Cortex-M4", "Cortex-M7")
    assert not (target.dsp or target.mve) or target.core in (
        "Cortex-M4", "Cortex-M7", "Cortex-M33", "Cortex-M55", "Cortex-M85",
    )  # fmt: skip
    assert not target.mve or target.core in ("Cortex-M55", "Cortex-M85")


@EVERY
def test_contiguous_regions_name_each_other(target):
    by_name = {region.name: region for region in target.regions}
    assert len(by_name) == len(target.regions)
    for region in target.regions:
        for other in region.contiguous_with:
            assert region.name in by_name[other].contiguous_with


@EVERY
def test_a_block_has_no_gap_and_none_could_be_longer(target):
    for block in target.blocks:
        for first, second in itertools.pairwise(block):
            assert first.base + first.size_bytes == second.base
    ends = {block[-1].base + block[-1].size_bytes for block in target.blocks}
    assert not ends & {block[0].base for block in target.blocks}
    assert target.arena_block_bytes == sum(region.size_bytes for region in target.blocks[0])


def test_a_region_without_an_address_touches_nothing():
    region = targets.Region("a", "sram", None, 16, True)
    assert not region.touches(targets.Region("b", "sram", 16, 16, True))
    assert not region.touches(targets.Region("c", "sram", None, 16, True))


def test_one_target_reads_one_file(monkeypatch):
    read = []
    original = Path.read_text
    profiles.names()
    monkeypatch.setattr(Path, "read_text", lambda self, **kw: read.append(self.name) or original(self, **kw))
    targets.get.cache_clear()
    targets.get("rp2040")
    assert read == ["rp2040.json"]


@FILES
def test_files_are_named_by_their_id_and_written_one_way(path):
    text = path.read_text("utf-8")
    content = json.loads(text)
    assert content["id"] == path.stem
    assert text == json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def test_an_unknown_target_gets_the_nearest_names():
    with pytest.raises(UsageError, match="stm32f746") as error:
        targets.get("stm32f747")
    assert error.value.exit_code == 2
    with pytest.raises(UsageError, match="known targets: apollo3-blue"):
        targets.get("zzz")
    with pytest.raises(UsageError, match="--target-file"):
        targets.resolve("board.json")


def test_case_does_not_matter():
    assert targets.get("STM32F746") == targets.get("stm32f746")
