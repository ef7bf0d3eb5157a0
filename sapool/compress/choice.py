"""How many channels leave which group: those whose going lowers what is over the budget most, for what they are worth.

The price of every choice is that of the specification that it leads to (`sapool.pricing`), so what is counted is the arena
in TFLM, and not a stand-in for it. No single layer decides: where several layers are over the budget, all of them count by
what they are over it, so that a choice that lowers one of several equal peaks is worth something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch

from firmware_sim import MemoryReport
from firmware_sim.accounting import LayerUse
from sapool.compress.budget import Budget
from sapool.compress.groups import Group
from sapool.errors import BudgetExceeded
from sapool.metadata import Notes
from sapool.plans import TFLM, Plan
from sapool.pricing import report, settle
from sapool.spec import ModelSpec

# A choice takes this share of the channels that its group has at first: small enough to follow the peak from layer to layer.
_SHARE: Final = 16
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Peak:
    """The layer with most bytes in use: operator, tensor, and those bytes, where buffers share some counted once."""

    op: str
    name: str
    live_bytes: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Channels that leave a group, one after the other.

    Attributes:
        group: names of the widths.
        before: channels that there were.
        after: channels that stay.
        gain: by how much what is over the budget fell, as a share of the budget.
    """

    group: str
    before: int
    after: int
    gain: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `choose` found: the specification that keeps the budget, what leaves which group, the peaks on the way, and the
    memory plan of the specification, with the bands that an export gives it."""

    spec: ModelSpec
    choices: tuple[Choice, ...]
    peaks: tuple[Peak, ...]
    plan: Plan = TFLM


class _Settled(NamedTuple):
    """The network whose bands are in use, and by how much it was over the budget."""

    spec: ModelSpec
    over: float


def choose(
    spec: ModelSpec, groups: Sequence[Group], scores: Mapping[str, torch.Tensor], budget: Budget, *, profile: str,
    notes: Callable[[ModelSpec], Notes], plan: Plan = TFLM, progress: Callable[[float], None] = lambda _: None,
) -> Chosen:  # fmt: skip
    """Take channels out of the groups until the budget is kept.

    Args:
        spec: of the network.
        groups: of its channels.
        scores: what each channel is worth, by the group's name.
        budget: what the network may cost.
        profile: build of TFLM that the arena is for.
        notes: what the file of a specification holds beside the network.
        plan: the memory plan that the file is to have.
        progress: told which share of what is over the budget is gone.

    Raises:
        BudgetExceeded: no channel that may leave lowers what is over the budget; what is reached, and where, is said.
    """
    kept = {group.name: group.channels for group in groups}
    remaining = {group.name: _remaining(scores[group.name]) for group in groups}
    gains: dict[str, float] = {}
    peaks: list[Peak] = []
    plan = settle(spec, profile=profile, plan=plan)
    account = report(spec, profile=profile, notes=notes(spec), plan=plan)
    over = excess(account, budget)
    settled, first = _Settled(spec, over), over
    while over > 0:
        progress(max(0.0, 1 - over / first))
        if peak_of(account) not in peaks:
            peaks.append(peak_of(account))
        best: tuple[float, Group, ModelSpec, MemoryReport, float] | None = None
        for group in groups:
            trial = _narrower(spec, group, kept[group.name])
            if trial is None:
                continue
            found = report(trial, profile=profile, notes=notes(trial), plan=plan)
            left = excess(found, budget)
            gone, going = (group.channels - count for count in (kept[group.name], trial.pruned[group.names[0]]))
            worth = _worth(remaining[group.name], gone, going)
            rate = (over - left) / worth
            if left < over and (best is None or rate > best[0]):
                best = (rate, group, trial, found, left)
        if best is not None:
            _, group, spec, account, left = best
            gains[group.name] = gains.get(group.name, 0.0) + over - left
            kept[group.name] = spec.pruned[group.names[0]]
            over = left
        elif plan.like is None or spec == settled.spec:
            raise _out_of_reach(account, budget)
        if plan.like is not None and (best is None or over <= settled.over / 2):
            # Narrower layers may go in other bands; what is lost by the old ones until then is taken back here.
            plan = settle(spec, profile=profile, plan=plan)
            account = report(spec, profile=profile, notes=notes(spec), plan=plan)
            over = excess(account, budget)
            settled = _Settled(spec, over)
    changed = [group for group in groups if kept[group.name] < group.channels]
    choices = tuple(Choice(g.name, g.channels, kept[g.name], gains[g.name]) for g in changed)
    return Chosen(spec, choices, tuple(peaks), plan)


def excess(account: MemoryReport, budget: Budget) -> float:
    """By how much an account is over a budget, as a share of each limit; 0 where every limit is kept.

    Of the arena every layer counts by what it and the tail are over the limit, and the whole once more: what a plan cannot
    avoid and what it adds.
    """
    total = 0.0
    if budget.arena_bytes is not None:
        arena = account.arena
        layers = sum(max(0, in_use_bytes(layer) + arena.tail_bytes - budget.arena_bytes) for layer in account.layers)
        over = max(0, arena.needed_bytes - budget.arena_bytes)
        total += (layers + over) / budget.arena_bytes if over else 0.0
    if budget.flash_bytes is not None:
        total += max(0, account.flash.model_bytes - budget.flash_bytes) / budget.flash_bytes
    if budget.macs is not None:
        total += max(0, sum(layer.macs for layer in account.layers) - budget.macs) / budget.macs
    return total


def peak_of(account: MemoryReport) -> Peak:
    """The first of the layers with most bytes in use."""
    layer = max(account.layers, key=in_use_bytes)
    return Peak(layer.op, layer.name, in_use_bytes(layer))


def in_use_bytes(layer: LayerUse) -> int:
    """What is alive while a layer runs, with bytes that buffers share in the plan counted once."""
    total = end = 0
    for live in sorted(layer.live, key=lambda live: live.offset):
        total += max(0, live.offset + live.bytes - max(end, live.offset))
        end = max(end, live.offset + live.bytes)
    return total


def _narrower(spec: ModelSpec, group: Group, channels: int) -> ModelSpec | None:
    """The specification with a few channels less in a group; None where the group would be empty."""
    step = max(1, group.channels // _SHARE // group.divisor) * group.divisor
    left = channels - step
    if left < group.divisor:
        left = channels - group.divisor
    if left < group.divisor:
        return None
    return spec.with_settings(pruned={**spec.pruned, **dict.fromkeys(group.names, left)})


def _remaining(scores: torch.Tensor) -> list[float]:
    """What the importance of a group adds up to when none, one, two, ... of the weakest channels are gone."""
    strongest_first = scores.double().clamp_min(_TINY).sort(descending=True).values.cumsum(0)
    return [*reversed(strongest_first.tolist()), 0.0]


def _worth(remaining: Sequence[float], gone: int, going: int) -> float:
    """What channels are worth that leave after `gone` others: the logarithm of what they leave of their group's importance.

    A share and not a sum, so that groups of any size compare; its logarithm, so that the last channels are beyond price.
    """
    return max(math.log(remaining[gone] / max(remaining[going], _TINY)), _TINY)


def _out_of_reach(account: MemoryReport, budget: Budget) -> BudgetExceeded:
    peak = peak_of(account)
    arena = account.arena.needed_bytes
    macs = sum(layer.macs for layer in account.layers)
    reached = []
    if budget.arena_bytes is not None and arena > budget.arena_bytes:
        reached.append(f"an arena of {arena:,} bytes")
    if budget.flash_bytes is not None and account.flash.model_bytes > budget.flash_bytes:
        reached.append(f"a file of {account.flash.model_bytes:,} bytes")
    if budget.macs is not None and macs > budget.macs:
        reached.append(f"{macs:,} multiply-accumulates")
    return BudgetExceeded(
        f"pruning reaches {' and '.join(reached)}, not less: no channel that may leave lowers that",
        where=f"{peak.op} {peak.name}",
        hint=f"{peak.live_bytes:,} bytes are alive at this layer, which holds the peak, and the tail takes "
        f"{account.arena.tail_bytes:,}; a smaller resolution or earlier downsampling lowers the peak",
    )
