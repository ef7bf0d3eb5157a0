"""Records behave as frozen dataclasses that compile their own methods do."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from firmware_sim.records import Record


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ours(Record):
    name: str
    sizes: tuple[int, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Theirs:
    name: str
    sizes: tuple[int, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)


def test_equality_text_and_hash_are_those_of_a_dataclass():
    values = [("a",), ("a", (1, 2)), ("b", (1, 2)), ("a", (1, 2), {"x": "y"})]
    for one in values:
        assert repr(Ours(*one)) == repr(Theirs(*one)).replace("Theirs", "Ours")
        for other in values:
            assert (Ours(*one) == Ours(*other)) == (Theirs(*one) == Theirs(*other))
    assert Ours("a") != Theirs("a")
    assert Ours("a") != ("a", (), {})
    with pytest.raises(TypeError, match="unhashable"):
        hash(Ours("a"))


def test_records_are_frozen_without_a_dict_and_can_be_replaced():
    record = Ours("a", (1,))
    with pytest.raises(FrozenInstanceError):
        record.name = "b"  # type: ignore[misc]
    assert not hasattr(record, "__dict__")
    assert replace(record, name="b") == Ours("b", (1,))


def test_equal_records_have_one_hash():
    @dataclass(frozen=True, slots=True, eq=False, repr=False)
    class Point(Record):
        x: int
        y: int

    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
