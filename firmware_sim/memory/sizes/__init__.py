"""Sizes of TFLM's structures per ABI, from the tables beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from firmware_sim.profiles import Profile


class Size(NamedTuple):
    """Size and alignment of a structure."""

    bytes: int
    align_bytes: int


_OPDATA_ALIGN_BYTES = 16  # what a kernel asks for through its context (micro_allocator.cc:690-693)


@cache
def _table(name: str) -> Mapping[str, Any]:
    text = Path(__file__).with_name(f"{name}.json").read_text("utf-8")
    table: Mapping[str, Any] = json.loads(text)
    return table


def _pick(row: Mapping[str, Any], columns: Sequence[str]) -> Any:
    return next(row[column] for column in columns if column in row)


def core(profile: Profile, name: str) -> Size:
    """A structure of the interpreter or the allocator; `name` as in TFLM's sources."""
    return _core(profile.columns, name)


@cache
def _core(columns: tuple[str, ...], name: str) -> Size:
    return Size(*_pick(_table("core")["sizes"][name], columns))


def builtin_data(profile: Profile, op: str) -> Size | None:
    """Builtin data of an operator: None if its parse function allocates nothing, or does not exist."""
    row = _table("builtin")["sizes"].get(op)
    return None if row is None else Size(*_pick(row, profile.columns))


def opdata(profile: Profile, op: str) -> Size | None:
    """OpData of a builtin operator's kernel: None if its Init allocates nothing."""
    if profile.kernels == "cmsis-nn":
        row = _table("opdata-cmsis-nn")["sizes"].get(op)
        if row is not None:
            return Size(_pick(row, profile.columns), _OPDATA_ALIGN_BYTES)
    row = _table("opdata-reference")["sizes"].get(op)
    count = 0 if row is None else _pick(row, profile.columns)
    return Size(count, _OPDATA_ALIGN_BYTES) if count else None


def is_known(op: str) -> bool:
    """TFLM has a kernel for this builtin operator, and the tables cover it."""
    table = _table("opdata-reference")
    return op in table["sizes"] or op in table["none"]
