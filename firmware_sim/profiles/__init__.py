"""Builds of TensorFlow Lite Micro: what decides how many bytes the same model takes.

host64                   the PyPI package on x86-64
cortex-m-reference       reference kernels on any Cortex-M
cortex-m-cmsis-nn        CMSIS-NN kernels, no DSP instructions
cortex-m-cmsis-nn-dsp    CMSIS-NN kernels, DSP instructions
cortex-m-cmsis-nn-mve    CMSIS-NN kernels, Helium
ilp32-reference          reference kernels, 32 bits, enums of 4 bytes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from firmware_sim.errors import UsageError
from firmware_sim.records import Record

DEFAULT = "host64"


class Profile(Record):
    """One build.

    Attributes:
        id: name on the command line.
        description: for people.
        columns: columns of the size tables, the most special first.
        pointer_bytes: size of a pointer.
        kernels: which kernel library.
        isa: instruction set the CMSIS-NN kernels were compiled for; None for reference kernels.
        recording: the interpreter uses the recording allocator, whose own structures are larger.
        compression: built with USE_TFLM_COMPRESSION.
    """

    id: str
    description: str
    columns: tuple[str, ...]
    pointer_bytes: int
    kernels: Literal["reference", "cmsis-nn"]
    isa: Literal["none", "dsp", "mve"] | None
    recording: bool
    compression: bool


@cache
def _table() -> Mapping[str, Profile]:
    text = Path(__file__).with_name("profiles.json").read_text("utf-8")
    raw: dict[str, dict[str, Any]] = json.loads(text)["profiles"]
    return {id: Profile(id=id, **{**row, "columns": tuple(row["columns"])}) for id, row in raw.items()}


def names() -> tuple[str, ...]:
    """Ids of all profiles."""
    return tuple(_table())


def get(id: str) -> Profile:
    """The profile of that id.

    Raises:
        UsageError: there is none.
    """
    profile = _table().get(id)
    if profile is None:
        raise UsageError(f"unknown profile {id!r}", hint=f"Known profiles: {', '.join(names())}")
    return profile
