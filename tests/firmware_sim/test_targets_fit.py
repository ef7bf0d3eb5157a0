"""Whether models fit boards, beside a reserve."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tflite_files import small_network, tflite

import firmware_sim.targets as targets
from firmware_sim import memreport, read
from firmware_sim.targets import Region, Reserve, Target

KIB = 1024


# One block of 128 KiB and no other: the reserve of 16 KiB has to share it.
@pytest.mark.parametrize(("arena", "fits", "margin"), [(112 * KIB, True, 0), (112 * KIB + 1, False, -1)])
def test_the_reserve_shares_the_only_block(arena, fits, margin):
    result = targets.fit(targets.get("stm32f446re"), arena, 1000)
    assert (result.fits, result.margin_bytes) == (fits, margin)
    (sram, flash) = result.regions
    assert (sram.used_bytes, sram.reserved_bytes, sram.fits) == (arena, 16 * KIB, fits)
    assert (flash.used_bytes, flash.reserved_bytes, flash.fits) == (1000, 128 * KIB, True)


def test_the_reserve_goes_elsewhere_where_it_can():
    result = targets.fit(targets.get("stm32h743"), 512 * KIB, 1000)
    assert (result.fits, result.margin_bytes) == (True, 0)
    rows = {row.name: (row.used_bytes, row.reserved_bytes) for row in result.regions}
    # The smallest block that holds it, of 64 KiB.
    assert rows == {"axi-sram": (512 * KIB, 0), "sram4": (0, 16 * KIB), "flash": (1000, 128 * KIB)}


def test_a_larger_reserve_needs_a_larger_block():
    result = targets.fit(targets.get("stm32h743"), 512 * KIB, 1000, reserve=Reserve(ram_bytes=100 * KIB))
    assert [row.name for row in result.regions if row.kind != "flash" and row.reserved_bytes] == ["dtcm"]
    result = targets.fit(targets.get("stm32h743"), 512 * KIB, 1000, reserve=Reserve(ram_bytes=300 * KIB))
    assert result.margin_bytes == -300 * KIB
    assert not result.fits


def test_the_reserve_can_be_changed_and_is_stated():
    target = targets.get("stm32f446re")
    result = targets.fit(target, 128 * KIB, 1000, reserve=Reserve(ram_bytes=0, flash_bytes=7))
    assert result.fits
    assert (result.ram_reserve_bytes, result.flash_reserve_bytes) == (0, 7)
    assert [row.reserved_bytes for row in result.regions] == [0, 7]
    assert not targets.fit(target, 100 * KIB, 1000, reserve=Reserve(ram_bytes=64 * KIB)).fits
    default = targets.fit(target, 1000, 1000)
    assert (default.ram_reserve_bytes, default.flash_reserve_bytes) == (16 * KIB, 128 * KIB)


def test_the_model_has_to_leave_room_for_code():
    target = targets.get("stm32f446re")
    assert targets.fit(target, 1000, 384 * KIB).fits
    result = targets.fit(target, 1000, 384 * KIB + 1)
    assert not result.fits
    assert [row.name for row in result.regions if not row.fits] == ["flash"]
    assert targets.fit(target, 1000, 512 * KIB, reserve=Reserve(flash_bytes=0)).fits


def test_a_board_without_flash_says_nothing_about_the_file():
    result = targets.fit(targets.get("spresense"), 1000, 10**9)
    assert result.fits
    assert [row.name for row in result.regions] == ["ram"]


def test_the_arena_fills_regions_in_address_order():
    result = targets.fit(targets.get("stm32f746"), 100 * KIB, 5000)
    used = {row.name: row.used_bytes for row in result.regions}
    assert used == {"dtcm": 64 * KIB, "sram1": 36 * KIB, "sram2": 0, "flash": 5000}
    # The reserve of 16 KiB is the last region of the block, exactly.
    reserved = {row.name: row.reserved_bytes for row in result.regions}
    assert reserved == {"dtcm": 0, "sram1": 0, "sram2": 16 * KIB, "flash": 128 * KIB}


def test_what_is_too_much_shows_in_the_last_region():
    result = targets.fit(targets.get("stm32f746"), 400 * KIB, 5000)
    assert sum(row.used_bytes for row in result.regions if row.kind != "flash") == 400 * KIB
    assert [row.name for row in result.regions if not row.fits] == ["sram2"]
    assert not result.fits


def test_the_call_takes_a_reserve():
    model = read(tflite(small_network()), name="small.tflite")
    given = Reserve(ram_bytes=60 * KIB, flash_bytes=500 * KIB)
    report = memreport(model, target="nrf52832", reserve=given)
    assert report.target == targets.fit(
        targets.get("nrf52832"), report.arena.minimum_bytes, model.size_bytes, reserve=given
    )
    assert report.target.margin_bytes < memreport(model, target="nrf52832").target.margin_bytes


SIZES = st.lists(st.integers(1, 300), min_size=1, max_size=6)


@given(SIZES, st.lists(st.integers(0, 2), min_size=6, max_size=6), st.integers(0, 1500), st.integers(0, 400))
def test_rows_add_up_whatever_the_board(sizes, gaps, arena, reserve):
    regions, base = [], 0
    for number, (size, gap) in enumerate(zip(sizes, gaps, strict=False)):
        base += gap
        regions.append(Region(f"r{number}", "sram", base, size, True))
        base += size
    target = Target("t", "t", "", "", "M4", None, False, False, None, "host64", tuple(regions))
    result = targets.fit(target, arena, 0, reserve=Reserve(reserve, 0))
    assert sum(row.used_bytes for row in result.regions) == arena
    assert sum(row.reserved_bytes for row in result.regions) == reserve
    assert result.fits == (result.margin_bytes >= 0)
    assert result.fits == all(row.fits for row in result.regions)
    beside = [block for block in target.blocks[1:] if sum(r.size_bytes for r in block) >= reserve]
    room = target.arena_block_bytes - (0 if beside and reserve else reserve)
    assert result.margin_bytes == room - arena
