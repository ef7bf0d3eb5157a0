"""How large to make the arena of a firmware, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exporters.errors import ExportError
from firmware_sim import memreport, profiles
from firmware_sim.model import read

_ALIGNMENT: Final = 16  # of TFLM's arena (micro_arena_constants.h)
_MARGIN_PER_OPERATOR: Final = 16


@dataclass(frozen=True, slots=True)
class ArenaBudget:
    """Bytes of the arena.

    Attributes:
        needed_bytes: smallest arena with which AllocateTensors succeeds, by profile of TFLM.
        margin_bytes: put on top of the largest of these. The account is that of one version of TFLM; the margin leaves
            four 32-bit words an operator for what another version may keep. It is an assumption, not a measurement.
    """

    needed_bytes: Mapping[str, int]
    margin_bytes: int

    @property
    def total_bytes(self) -> int:
        return max(self.needed_bytes.values()) + self.margin_bytes


def budget(content: bytes, profile_ids: Sequence[str] | None = None) -> ArenaBudget:
    """The arena of a .tflite for builds of TFLM, by default all that run on a Cortex-M.

    Raises:
        ExportError: the account cannot tell what one of them needs.
    """
    model = read(content)
    needed = {}
    for name in profile_ids or [name for name in profiles.names() if name.startswith("cortex-m")]:
        arena = memreport(model, profile=name).arena
        if arena.minimum_bytes is None:
            reason = arena.inexact.get("minimum_bytes", "")
            raise ExportError(f"the smallest arena under {name} is not known: {reason}")
        needed[name] = arena.minimum_bytes
    margin = len(model.subgraphs[0].operators) * _MARGIN_PER_OPERATOR
    return ArenaBudget(needed, -(-margin // _ALIGNMENT) * _ALIGNMENT)
