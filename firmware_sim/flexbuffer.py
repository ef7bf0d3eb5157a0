"""Numbers in the map at the root of a flexbuffer, the format of custom operators' options.

Layout (https://flatbuffers.dev/internals, FlexBuffers): the buffer ends with the root's type and width. A map is a vector of
values with their types behind it; in front of it lie its length, the width of the keys, and the way to the keys.
"""

from __future__ import annotations

import struct
from typing import Final

from firmware_sim.errors import ModelError

_INT, _UINT, _FLOAT, _BOOL, _MAP = 1, 2, 3, 26, 9
_INDIRECT: Final = {6: _INT, 7: _UINT, 8: _FLOAT}
_FORMATS: Final = {
    _INT: {1: "b", 2: "h", 4: "i", 8: "q"},
    _UINT: {1: "B", 2: "H", 4: "I", 8: "Q"},
    _BOOL: {1: "B", 2: "H", 4: "I", 8: "Q"},
    _FLOAT: {4: "f", 8: "d"},
}
_MAX_KEYS: Final = 1000


def numbers(data: memoryview) -> dict[str, int | float]:
    """Integers, floats and booleans of the root map by key; other values are left out.

    Raises:
        ModelError: it is not a flexbuffer with a map at its root.
    """
    try:
        return _Reader(data).root_map()
    except (struct.error, IndexError, KeyError) as error:
        raise ModelError("options are not a valid flexbuffer") from error


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data

    def number(self, kind: int, position: int, width: int) -> int | float:
        if position < 0:
            raise IndexError
        value: int | float = struct.unpack_from("<" + _FORMATS[kind][width], self.data, position)[0]
        return value

    def back(self, position: int, width: int) -> int:
        """Target of the offset at `position`, which points backwards."""
        return position - int(self.number(_UINT, position, width))

    def root_map(self) -> dict[str, int | float]:
        width, kind = self.data[-1], self.data[-2]
        if kind >> 2 != _MAP:
            return {}
        start = self.back(len(self.data) - 2 - width, width)
        width = 1 << (kind & 3)
        count = int(self.number(_UINT, start - width, width))
        if count > _MAX_KEYS:
            raise IndexError
        keys = self.back(start - 3 * width, width)
        key_width = int(self.number(_UINT, start - 2 * width, width))
        found: dict[str, int | float] = {}
        for index in range(count):
            value = self.value(start, index, count, width)
            if value is not None:
                found[self.key(self.back(keys + index * key_width, key_width))] = value
        return found

    def value(self, start: int, index: int, count: int, width: int) -> int | float | None:
        packed = self.data[start + count * width + index]
        kind = packed >> 2
        position = start + index * width
        if kind in _INDIRECT:
            return self.number(_INDIRECT[kind], self.back(position, width), 1 << (packed & 3))
        return self.number(kind, position, width) if kind in _FORMATS else None

    def key(self, position: int) -> str:
        if position < 0:
            raise IndexError
        end = position
        while self.data[end]:
            end += 1
        return str(self.data[position:end], "utf-8", "replace")
