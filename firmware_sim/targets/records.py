"""Targets as plain records: what data files, `--target-file` and the JSON of `sapool targets` hold."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, NoReturn, cast

from firmware_sim import profiles, sizes
from firmware_sim.errors import UsageError
from firmware_sim.targets import positions
from firmware_sim.targets.target import Kind, Region, Target

_TARGET_KEYS: Final = (
    "id", "name", "chip", "vendor", "core", "clock_hz", "dsp", "mve", "fpu", "profile", "checked", "notes", "sources",
    "references", "regions",
)  # fmt: skip
_REGION_KEYS: Final = (
    "name", "kind", "base", "size_bytes", "usable_for_arena", "contiguous_with", "source", "checked",
)  # fmt: skip
_KINDS: Final = ("sram", "tcm", "flash")
_ADDRESSES: Final = 2**32
_ADDRESS: Final = re.compile("(0[xX])?[0-9a-fA-F]{1,8}")


class Place(NamedTuple):
    """The file that a record comes from; its text gives messages their line."""

    file: str = ""
    text: str = ""

    def at(self, path: positions.Path) -> str:
        """The file, with the line of `path` or of what it would stand in."""
        found = positions.lines(self.text) if self.text else {}
        while path and path not in found:
            path = path[:-1]
        line = found.get(path)
        return f"{self.file}:{line}" if line else self.file


def parse(record: object, place: Place | None = None, path: positions.Path = ()) -> Target:
    """A target from its record. Which regions touch is worked out from their addresses, whatever the record says.

    Args:
        record: what JSON holds; see target-1.schema.json.
        place: the file it comes from, for messages.
        path: keys and indices that lead to the record in that file.

    Raises:
        UsageError: a field is missing, unknown or makes no sense, or regions overlap; says where and which.
    """
    table = _Table(record, place or Place(), path)
    table.knows(_TARGET_KEYS)
    name = table.text("id")
    checked = table.text("checked", "")
    regions = [_region(table.table("regions", index), checked) for index in range(len(table.rows("regions")))]
    _check_regions(regions, table)
    return Target(
        id=name,
        name=table.text("name", name),
        chip=table.text("chip", ""),
        vendor=table.text("vendor", ""),
        core=table.text("core"),
        clock_hz=table.number("clock_hz"),
        dsp=bool(table.flag("dsp", False)),
        mve=bool(table.flag("mve", False)),
        fpu=table.flag("fpu", None),
        profile=table.choice("profile", profiles.names()),
        regions=tuple(_joined(regions)),
        notes=table.texts("notes"),
        sources=table.mapping("sources"),
        references=table.texts("references"),
        checked=checked,
    )


def record(target: Target) -> dict[str, Any]:
    """The record of a target; `parse` makes the same target of it."""
    regions = [
        {
            "name": region.name,
            "kind": region.kind,
            "base": None if region.base is None else f"0x{region.base:08x}",
            "size_bytes": region.size_bytes,
            "usable_for_arena": region.usable_for_arena,
            "contiguous_with": list(region.contiguous_with),
            "source": region.source,
            "checked": region.checked,
        }
        for region in target.regions
    ]
    plain = {key: getattr(target, key) for key in _TARGET_KEYS if key != "regions"}
    lists = {"notes": list(target.notes), "references": list(target.references), "sources": dict(target.sources)}
    return {**plain, **lists, "regions": regions}


def _region(table: _Table, checked: str) -> Region:
    table.knows(_REGION_KEYS)
    kind = cast(Kind, table.choice("kind", _KINDS))
    usable = bool(table.flag("usable_for_arena", kind != "flash"))
    if usable and kind == "flash":
        table.fail("flash cannot hold the arena", "usable_for_arena", hint='leave it out, or make the kind "sram"')
    base, size = table.address("base"), table.size("size_bytes")
    if size + (base or 0) > _ADDRESSES:
        table.fail("ends beyond the 32-bit address space", "size_bytes")
    return Region(
        name=table.text("name"),
        kind=kind,
        base=base,
        size_bytes=size,
        usable_for_arena=usable,
        source=table.text("source", ""),
        checked=table.text("checked", checked),
    )


def _check_regions(regions: Sequence[Region], table: _Table) -> None:
    numbers: dict[str, int] = {}
    for number, region in enumerate(regions):
        if region.name in numbers:
            table.fail(f"a second region '{region.name}'", "regions", number, "name")
        numbers[region.name] = number
    placed = [(region.base, region) for region in regions if region.base is not None]
    for (start, first), (base, second) in itertools.pairwise(sorted(placed, key=lambda pair: pair[0])):
        if start + first.size_bytes > base:
            table.fail(f"'{second.name}' overlaps '{first.name}'", "regions", numbers[second.name])
    if not any(region.usable_for_arena for region in regions):
        table.fail("no region is usable for the arena", "regions", hint='one has to be of the kind "sram" or "tcm"')


def _joined(regions: Sequence[Region]) -> Iterable[Region]:
    usable = [region for region in regions if region.usable_for_arena]
    for region in regions:
        names = [other.name for other in usable if region.usable_for_arena and region.touches(other)]
        yield replace(region, contiguous_with=tuple(names))


class _Table:
    """An object of a record, and readers for its fields that say where something is wrong."""

    def __init__(self, value: object, place: Place, path: positions.Path) -> None:
        self._place, self._path = place, path
        if not isinstance(value, Mapping):
            self.fail("has to be an object", hint="{ ... }")
        self._value: Mapping[str, Any] = value

    def fail(self, message: str, *keys: str | int, hint: str | None = None) -> NoReturn:
        path = (*self._path, *keys)
        field = positions.describe(path)
        raise UsageError(
            f"'{field}': {message}" if field else f"a target {message}", where=self._place.at(path), hint=hint
        )

    def knows(self, keys: Sequence[str]) -> None:
        for key in self._value:
            if key not in keys:
                self.fail("is no field that is known", key, hint=_nearest(key, keys))

    def table(self, key: str, index: int) -> _Table:
        return _Table(self._value[key][index], self._place, (*self._path, key, index))

    def rows(self, key: str) -> list[Any]:
        value = self._value.get(key)
        if not isinstance(value, list) or not value:
            self.fail("has to be a list of regions, and not an empty one", key)
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._value.get(key, default)
        if value is None:
            self.fail("is missing", key)
        if not isinstance(value, str) or not value.isprintable() or (default is None and not value.strip()):
            self.fail(f"has to be text on one line, not {_short(value)}", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._value.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) and text.isprintable() for text in value):
            self.fail("has to be a list of texts on one line each", key)
        return tuple(value)

    def mapping(self, key: str) -> Mapping[str, str]:
        value = self._value.get(key, {})
        if not isinstance(value, Mapping):
            self.fail("has to be an object of texts", key)
        inner = _Table(value, self._place, (*self._path, key))
        inner.knows(("core", "clock_hz"))
        return {name: inner.text(name) for name in value}

    def choice(self, key: str, known: Sequence[str]) -> str:
        value = self.text(key)
        if value not in known:
            self.fail(f"{_short(value)} is not known", key, hint=_nearest(value, known))
        return value

    def flag(self, key: str, default: bool | None) -> bool | None:
        value = self._value.get(key, default)
        if value is not default and not isinstance(value, bool):
            self.fail(f"has to be true or false, not {_short(value)}", key)
        return value

    def number(self, key: str) -> int | None:
        value = self._value.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value <= 0):
            self.fail(f"has to be a whole number above 0, not {_short(value)}", key)
        return value

    def address(self, key: str) -> int | None:
        value = self._value.get(key)
        if isinstance(value, str) and _ADDRESS.fullmatch(value):
            return int(value, 16)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _ADDRESSES):
            self.fail(f"{_short(value)} is no address", key, hint='write up to 32 bits, as "0x20000000"')
        return value

    def size(self, key: str) -> int:
        if key not in self._value:
            self.fail("is missing", key, hint='write bytes, or "96 KiB"')
        try:
            value = sizes.parse(self._value[key])
        except UsageError as error:
            self.fail(error.message, key, hint=error.hint)
        if value == 0:
            self.fail("has to be more than 0", key)
        return value


def _nearest(word: str, known: Sequence[str]) -> str:
    import difflib

    nearest = difflib.get_close_matches(word.lower(), known, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
