"""Records behave as frozen dataclasses that compile their own methods do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace

import pytest

from firmware_sim.records import Record


class Ours(Record):
    name: str
    sizes: tuple[int, ...] = ()
    notes: Mapping[str, str] = {}  # copied for each record


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
    assert record.replaced(name="b") == Ours("b", (1,))


class Common(Record):
    """As `Ours`, but made so often that it has got an `__init__` of its own."""

    name: str
    sizes: tuple[int, ...] = ()
    notes: Mapping[str, str] = {}


@pytest.fixture(autouse=True, scope="module")
def _many():
    for _ in range(1000):
        Common("a")
    assert Common.__init__ is not Record.__init__
    assert Ours.__init__ is Record.__init__


@pytest.mark.parametrize("make", [Ours, Common, Theirs])
def test_arguments_are_those_of_a_dataclass(make):
    assert make("a") == make(name="a") == make("a", (), {}) == make("a", notes={}, sizes=())
    for args, named in (
        ((), {}), ((), {"sizes": ()}), (("a", (), {}, 1), {}), (("a",), {"name": "b"}), (("a",), {"colour": 1}),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            make(*args, **named)


def test_the_functions_of_dataclasses_take_records():
    record = Ours("a", (1,), {"x": "y"})
    assert is_dataclass(record)
    assert [each.name for each in fields(Ours)] == ["name", "sizes", "notes"]
    assert asdict(record) == {"name": "a", "sizes": (1,), "notes": {"x": "y"}}
    with pytest.raises(TypeError):
        replace(record, colour=1)
    with pytest.raises(TypeError):
        record.replaced(colour=1)


@pytest.mark.parametrize("make", [Ours, Common])
def test_defaults_are_not_shared(make):
    one = make("a")
    one.notes["x"] = "y"
    assert make("b").notes == {}
    given = {"x": "z"}
    assert make("b", (), given).notes is given


def test_records_can_be_copied_and_pickled():
    record = Ours("a", (1,), {"x": "y"})
    assert copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == copy.copy(record) == record


def test_equal_records_have_one_hash():
    class Point(Record):
        x: int
        y: int

    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
