"""The SHA-256 of a file, worked out when somebody asks for it: a third of the time that reading a large model takes."""

from __future__ import annotations

import hashlib


class Digest:
    """SHA-256 of `data`; of None, which stands for a file that was never written, it is empty."""

    __slots__ = ("_data", "_hexadecimal")

    def __init__(self, data: bytes | None) -> None:
        self._data = data
        self._hexadecimal = ""

    @property
    def hexadecimal(self) -> str:
        """64 digits, or "" where there is no file."""
        if self._data is not None:
            # The bytes are let go: reports outlive their files.
            self._hexadecimal, self._data = hashlib.sha256(self._data).hexdigest(), None
        return self._hexadecimal

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return self.hexadecimal == other.hexadecimal

    def __hash__(self) -> int:
        return hash(self.hexadecimal)

    def __repr__(self) -> str:
        return f"<SHA-256 {self.hexadecimal}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _stated, (self.hexadecimal,)


def _stated(hexadecimal: str) -> Digest:
    digest = Digest(None)
    digest._hexadecimal = hexadecimal
    return digest
