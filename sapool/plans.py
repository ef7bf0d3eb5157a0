"""The memory plans that a price may count on: TFLM's own, or one with overlaps, as `sapool shrink` makes it.

Of a network that is not built there is no file to shrink, so the plan is made of what the file would be. Passes that change
operators are left out: they only ever lower the arena further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from firmware_sim import profiles
from firmware_sim.accounting import ArenaUse
from firmware_sim.memory.account import arena
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.model import Model
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import HeadPlan, plan, profiles_of
from firmware_sim.overlap.rules import ANY, class_of
from firmware_sim.profiles import Profile

NAMES: Final = ("tflm", "overlap")
"""What `--plan` takes."""

_SEARCH_S: Final = 1.0
_ENTRY_BYTES: Final = 96  # of one metadata entry in a file: table, name, buffer, alignment


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of plan.

    Attributes:
        kernels: the kernel class whose overlaps are allowed; None leaves the plan to TFLM.
        search_s: seconds for exact search; 0 for one that gives up after a few nodes, while many networks are compared.
    """

    kernels: str | None = None
    search_s: float = 0.0

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        return NAMES[self.kernels is not None]

    def searched(self) -> Plan:
        """The same with all the time that an export takes, for what is kept."""
        return self if self.kernels is None else replace(self, search_s=_SEARCH_S)


TFLM: Final = Plan()


def named(name: str, profile: str | None) -> Plan:
    """The plan of that name for a build; with None, one that holds for all known kernels, as an export without a target."""
    if name == "tflm":
        return TFLM
    return Plan(ANY if profile is None else class_of(profiles.get(profile)))


def planned(model: Model, profile: Profile, wanted: Plan) -> tuple[Model, ArenaUse]:
    """A model with the plan that is wanted, where it is better than TFLM's own, and its arena.

    Args:
        model: without a plan.
        profile: the build.
        wanted: the plan; the build must belong to its kernel class.
    """
    plain = arena(model, profile)
    if wanted.kernels is None:
        return model, plain
    found = plan(model, wanted.kernels, time_s=wanted.search_s, builds=_builds(wanted))
    if found.solution is None or found.solution.peak_bytes >= plain.head_bytes:
        return model, plain
    better = _with(model, found, wanted.kernels)
    use = arena(better, profile)
    if use.total_bytes >= plain.total_bytes:
        return model, plain
    # As shrinking does: no build of the class may get worse.
    others = [build for build in profiles_of(wanted.kernels) if build != profile] if wanted.search_s else []
    if any(arena(better, build).total_bytes > arena(model, build).total_bytes for build in others):
        return model, plain
    return better, use


def least_head_bytes(model: Model, profile: Profile, wanted: Plan) -> int:
    """What no head of `planned` is below."""
    if wanted.kernels is not None:
        found = plan(model, wanted.kernels, time_s=0, builds=(profile,))
        if found.solution is not None:
            return found.solution.bound_bytes
    return arena(model, profile).lower_bound_bytes


def _builds(wanted: Plan) -> tuple[Profile, ...]:
    """The builds whose scratch buffers count: of those that run the same kernels one is enough while many are compared."""
    assert wanted.kernels is not None
    builds = profiles_of(wanted.kernels)
    return builds if wanted.search_s else tuple({(build.kernels, build.isa): build for build in builds}.values())


def _with(model: Model, found: HeadPlan, kernels: str) -> Model:
    words = encode([found.offsets[0].get(tensor.index) for tensor in model.subgraphs[0].tensors])
    entries = {METADATA: words, RECORD: stored.record(kernels)}
    size_bytes = model.size_bytes + sum(_ENTRY_BYTES + len(name) + len(data) for name, data in entries.items())
    return replace(
        model,
        size_bytes=size_bytes,
        metadata={**model.metadata, **{name: memoryview(data) for name, data in entries.items()}},
    )
