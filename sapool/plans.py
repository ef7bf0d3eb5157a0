"""The memory plans that a price may count on: TFLM's own, or one as `sapool shrink` makes it, with bands or without.

Of a network that is not built there is no file to shrink, so the plan is made of what the file would be. Passes that change
operators are left out, but for bands: they only ever lower the arena further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from firmware_sim import profiles
from firmware_sim.accounting import ArenaUse
from firmware_sim.errors import UsageError
from firmware_sim.memory.account import arena
from firmware_sim.memory.offline import METADATA, RECORD, encode
from firmware_sim.model import Model
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import HeadPlan, plan, profiles_of
from firmware_sim.overlap.rules import ANY, class_of
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.bands import preview
from firmware_sim.rewrite.bands.build import Banding
from firmware_sim.rewrite.bands.forms import EXPLICIT
from firmware_sim.rewrite.bands.run import MAX_EXTRA_MACS

NAMES: Final = ("tflm", "overlap", "bands")
"""What `--plan` takes."""

_SEARCH_S: Final = 1.0
_ENTRY_BYTES: Final = 96  # of one metadata entry in a file: table, name, buffer, alignment


@dataclass(frozen=True, slots=True)
class Plan:
    """A kind of plan.

    Attributes:
        kernels: the kernel class whose overlaps are allowed; None leaves the plan to TFLM.
        search_s: seconds for exact search; 0 for one that gives up after a few nodes, while many networks are compared.
        max_extra_macs: multiply-accumulates that bands may add, as a share of those that there are; None for no bands.
        like: bands of a network of the same layers, which are taken as they are where not all are searched.
        form: how bands are written, one of `firmware_sim.rewrite.bands.forms.FORMS`.
    """

    kernels: str | None = None
    search_s: float = 0.0
    max_extra_macs: float | None = None
    like: tuple[Banding, ...] | None = None
    form: str = EXPLICIT

    @property
    def name(self) -> str:
        """One of `NAMES`."""
        if self.kernels is None:
            return "tflm"
        return "overlap" if self.max_extra_macs is None else "bands"

    @property
    def words(self) -> str:
        """What follows a figure that counts on it; nothing for TFLM's own plan."""
        if self.kernels is None:
            return ""
        option = "--shrink"
        if self.max_extra_macs is not None:
            form = "" if self.form == EXPLICIT else f" --form {self.form}"
            option = f"--bands{form} --max-extra-macs {self.max_extra_macs:.0%}"
        return f", as sapool export {option} plans it for {self.kernels} kernels"

    def as_dict(self) -> dict[str, str | None]:
        """For JSON reports."""
        return {"name": self.name, "kernels": self.kernels, "form": self.form if self.name == "bands" else None}

    def searched(self) -> Plan:
        """The same with all the time that an export takes, for what is kept."""
        return self if self.kernels is None else replace(self, search_s=_SEARCH_S)


TFLM: Final = Plan()


def named(name: str, profile: str | None, max_extra_macs: float | None = None, form: str | None = None) -> Plan:
    """The plan of that name for a build; with None, one that holds for all known kernels, as an export without a target.

    Args:
        name: one of `NAMES`.
        profile: the build.
        max_extra_macs: what bands may add; None for the usual share.
        form: how bands are written; None for what is right anywhere.

    Raises:
        UsageError: a share or a form for a plan without bands.
    """
    for option, value in (("--max-extra-macs", max_extra_macs), ("--form", form)):
        if value is not None and name != "bands":
            raise UsageError(f"{option} is of bands", hint="give --plan bands as well")
    if name == "tflm":
        return TFLM
    kernels = ANY if profile is None else class_of(profiles.get(profile))
    if name == "overlap":
        return Plan(kernels)
    share = MAX_EXTRA_MACS if max_extra_macs is None else max_extra_macs
    return Plan(kernels, max_extra_macs=share, form=form or EXPLICIT)


def planned(model: Model, profile: Profile, wanted: Plan) -> tuple[Model, ArenaUse]:
    """A model with the plan that is wanted, where it is better than TFLM's own, and its arena.

    Args:
        model: without a plan.
        profile: the build.
        wanted: the plan; the build must belong to its kernel class. Bands are those of `Plan.like`, or what a quick search
            finds; what an export finds is `settled`'s.
    """
    best, use = _overlapping(model, profile, wanted)
    if wanted.kernels is None or wanted.max_extra_macs is None:
        return best, use
    if wanted.like is None:
        found = preview.quick(
            model, wanted.kernels, profile, wanted.max_extra_macs, below_bytes=use.needed_bytes, form=wanted.form
        )
    else:
        found = preview.like(model, wanted.kernels, profile, wanted.like, form=wanted.form) if wanted.like else None
    banded = None if found is None else arena(found.model, profile)
    return (
        (best, use)
        if found is None or banded is None or banded.needed_bytes >= use.needed_bytes
        else (found.model, banded)
    )


def settled(model: Model, profile: Profile, wanted: Plan) -> Plan:
    """The plan with the bands that an export finds for a model: its own, and what narrower networks are compared by."""
    if wanted.kernels is None or wanted.max_extra_macs is None:
        return wanted
    _, use = _overlapping(model, profile, wanted.searched())
    found = preview.best(
        model, wanted.kernels, profile, wanted.max_extra_macs, below_bytes=use.needed_bytes, form=wanted.form
    )
    return replace(wanted, like=found.bandings if found else ())


def _overlapping(model: Model, profile: Profile, wanted: Plan) -> tuple[Model, ArenaUse]:
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
    """What no head of `planned` is below, whatever comes before and after the model."""
    if wanted.kernels is not None and wanted.max_extra_macs is not None:
        return preview.floor_bytes(model, wanted.kernels)
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
