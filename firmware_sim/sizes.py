"""Numbers of bytes as people write and read them."""

from __future__ import annotations

import re

from firmware_sim.errors import UsageError

_UNITS = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 1000,
    "mb": 1000**2,
    "kib": 1024,
    "mib": 1024**2,
}
_SIZE = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse(value: object) -> int:
    """Bytes from a whole number, or from text such as "96 KiB" (1,024 bytes each) or "96kB" (1,000 bytes each).

    Raises:
        UsageError: not a size, negative, or no whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise UsageError(f"{value!r} is not a size", hint='write bytes, or "96 KiB", "96 kB", "1.5 MiB"')
    size = float(match[1].replace("_", "").replace(",", "")) * unit
    if not size.is_integer():
        raise UsageError(f"{value!r} is no whole number of bytes")
    return int(size)


def share_bytes(size_bytes: int, share: float) -> int:
    """The whole bytes in a share of a size, reckoned in decimals: 0.29 of 100 bytes are 29, and not 28.999."""
    from decimal import Decimal

    return int(Decimal(size_bytes) * Decimal(str(share)))


def describe(size_bytes: int) -> str:
    """Bytes, and KiB where that says more: "98,304 bytes (96.0 KiB)"."""
    if abs(size_bytes) < 1024:
        return f"{size_bytes:,} bytes"
    return f"{size_bytes:,} bytes ({size_bytes / 1024:,.1f} KiB)"
