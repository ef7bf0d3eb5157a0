"""What the frozen dataclasses of this package share, so that defining them costs little.

`dataclass` compiles comparison, hash and text anew for each class when its module is imported, which was a tenth of the
time of a cold command. Here they are written once:

    @dataclass(frozen=True, slots=True, eq=False, repr=False)
    class Interval(Record): ...

Records behind the scenes, which nobody compares with another type, are NamedTuples: cheaper still. Objects that change do
without comparison and text (`eq=False, repr=False`).
"""

from __future__ import annotations

from typing import Any, ClassVar


class Record:
    """Base of frozen dataclasses: equal if class and fields are, hashable if the fields are."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__match_args__)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({values})"
