"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import sizes
from firmware_sim.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        (98304, 98304),
        ("98304", 98304),
        ("98_304", 98304),
        ("98,304 bytes", 98304),
        ("96 KiB", 98304),
        ("96KiB", 98304),
        ("96kB", 96000),
        ("96 KB", 96000),
        ("1.5 MiB", 1572864),
        ("2 MB", 2000000),
        ("0", 0),
    ],
)
def test_sizes_are_read(text, size_bytes):
    assert sizes.parse(text) == size_bytes


@pytest.mark.parametrize("text", ["", "KiB", "-1", -1, "96 KiBi", "1e3", True, 1.5, None, "0.3 B", [], "9" * 5000])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError):
        sizes.parse(text)


@given(st.integers(0, 2**40))
def test_what_is_described_is_read_again(size_bytes):
    assert sizes.parse(sizes.describe(size_bytes).split(" (")[0]) == size_bytes


def test_kibibytes_are_shown_beside_bytes():
    assert sizes.describe(1000) == "1,000 bytes"
    assert sizes.describe(98304) == "98,304 bytes (96.0 KiB)"


def test_shares_are_reckoned_in_decimals():
    """In binary floating point, 0.57 of 100 is 56.99999999999999."""
    assert [sizes.share_bytes(100, share) for share in (0.57, 0.29, 1.0, 0.0, 0.999)] == [57, 29, 100, 0, 99]
    assert sizes.share_bytes(1000, 2.3) == 2300
