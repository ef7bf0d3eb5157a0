"""What a network may cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sapool.errors import UsageError

if TYPE_CHECKING:
    from sapool.pricing import Bounds, Price


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits; None where there is none.

    Attributes:
        arena_bytes: of the arena that TFLM needs, the one with which AllocateTensors succeeds.
        flash_bytes: of the model file.
        macs: multiply-accumulates of one inference, with those that bands add.

    Raises:
        UsageError: there is no limit, or one is not positive.
    """

    arena_bytes: int | None = None
    flash_bytes: int | None = None
    macs: int | None = None

    def __post_init__(self) -> None:
        limits = {field.name: getattr(self, field.name) for field in fields(self)}
        if all(limit is None for limit in limits.values()):
            raise UsageError("there is no budget", hint="give --arena, --flash or --macs")
        for name, limit in limits.items():
            if limit is not None and limit < 1:
                raise UsageError(f"a budget of {limit} {name.removesuffix('_bytes')} holds nothing")

    def allows(self, cost: Price) -> bool:
        """Whether a network of this price keeps every limit."""
        return not self.exceeded(cost)

    def may_allow(self, least: Bounds) -> bool:
        """Whether a network that costs at least so much may keep every limit."""
        return not (
            _above(least.arena_bytes, self.arena_bytes)
            or _above(least.model_bytes, self.flash_bytes)
            or _above(least.macs, self.macs)
        )

    def exceeded(self, cost: Price) -> tuple[str, ...]:
        """Which of "arena", "flash" and "macs" are above their limits."""
        over = {
            "arena": _above(needed_bytes(cost), self.arena_bytes),
            "flash": _above(cost.model_bytes, self.flash_bytes),
            "macs": _above(cost.file_macs, self.macs),
        }
        return tuple(name for name, above in over.items() if above)


def needed_bytes(cost: Price) -> int:
    """The arena that a network needs: what it uses, or what initialisation needs where that is more."""
    return cost.arena.needed_bytes


def _above(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit
