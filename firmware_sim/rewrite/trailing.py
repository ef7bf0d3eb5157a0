"""What follows the flatbuffer in a file. TFLite's metadata tools append a zip archive with labels there.

A zip archive names places in its file (APPNOTE.TXT 4.3.12 and 4.3.16 of PKWARE's ZIP specification). When the flatbuffer
in front changes its size, these places move with it.
"""

from __future__ import annotations

import struct
from typing import Final

_END: Final = b"PK\x05\x06"
_ENTRY: Final = b"PK\x01\x02"
_LOCAL: Final = b"PK\x03\x04"
_END_BYTES: Final = 22
_ENTRY_BYTES: Final = 46
_ZIP64: Final = 0xFFFFFFFF


def moved(trailing: bytes, was_bytes: int, is_bytes: int) -> bytes:
    """`trailing`, which began at `was_bytes` in its file, as it has to be at `is_bytes`.

    An archive whose places count from its own beginning, and what is no archive, stays as it is.
    """
    end = trailing.rfind(_END)
    if end < 0 or end + _END_BYTES > len(trailing):
        return trailing
    count, _, directory = struct.unpack_from("<HII", trailing, end + 10)
    position = directory - was_bytes
    if directory == _ZIP64 or not 0 <= position < end:
        return trailing
    result = bytearray(trailing)
    for _ in range(count):
        if result[position : position + 4] != _ENTRY or position + _ENTRY_BYTES > end:
            return trailing
        lengths = struct.unpack_from("<HHH", result, position + 28)
        local: int = struct.unpack_from("<I", result, position + 42)[0]
        if local == _ZIP64 or trailing[max(local - was_bytes, 0) :][:4] != _LOCAL:
            return trailing
        struct.pack_into("<I", result, position + 42, local - was_bytes + is_bytes)
        position += _ENTRY_BYTES + sum(lengths)
    struct.pack_into("<I", result, end + 16, directory - was_bytes + is_bytes)
    return bytes(result)
