"""Makes a .tflite need less arena in stock TFLM: pass by pass, and never at the price of a build that gets worse."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from firmware_sim import costs, memreport
from firmware_sim.accounting import ArenaUse, MemoryReport
from firmware_sim.errors import InternalError, UsageError
from firmware_sim.memory.account import arena
from firmware_sim.memory.offline import RECORD
from firmware_sim.model import read
from firmware_sim.overlap import stored
from firmware_sim.overlap.plan import HeadPlan, plan, profiles_of
from firmware_sim.overlap.rules import ANY, class_of
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.acceptance import check
from firmware_sim.rewrite.clean import clean
from firmware_sim.rewrite.draft import Draft, finish, open_draft
from firmware_sim.rewrite.floor import floor_bytes
from firmware_sim.rewrite.fold_padding import fold_padding
from firmware_sim.rewrite.int8_input import InputChange, with_int8_input
from firmware_sim.rewrite.order_costs import order_costs
from firmware_sim.rewrite.reorder import reorder

PASSES: Final = {
    "fold-pad": "PAD folded into the convolutions",
    "clean": "what does nothing removed",
    "reorder": "operators in the order of the lowest peak",
    "overlap": "outputs over inputs that die",
    "plan": "memory plan in the file",
}
"""Passes in their order, with what they do. Without "plan" there is no "overlap" either."""

INT8_INPUT: Final = "int8-input"
"""The pass that changes the interface, and so runs on request only, before all others."""

DESCRIPTIONS: Final = {INT8_INPUT: "int8 in the place of the input", **PASSES, "bands": "early layers row by row"}
"""What reports say of passes: these, and the one of `firmware_sim.rewrite.bands`, which comes before the plan."""


@dataclass(frozen=True, slots=True)
class PassUse:
    """What a pass left: head and total of the build that is reported, and the size of the file."""

    name: str
    head_bytes: int
    total_bytes: int
    model_bytes: int
    macs: int


@dataclass(frozen=True, slots=True)
class BuildUse:
    """One build of TFLM before and after. `exact` says that all four figures are what TFLM uses, to the byte."""

    profile: str
    head_before_bytes: int
    head_after_bytes: int
    total_before_bytes: int
    total_after_bytes: int
    exact: bool

    @classmethod
    def of(cls, build: Profile, before: MemoryReport, after: MemoryReport) -> BuildUse:
        """What two accounts for one build say."""
        one, other = before.arena, after.arena
        is_exact = one.exact and other.exact
        return cls(build.id, one.head_bytes, other.head_bytes, one.total_bytes, other.total_bytes, is_exact)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A rewritten model.

    Attributes:
        content: the file; the old one where nothing was gained.
        kernels: the kernel class that its plan is for.
        before: memory of the old file in the build that is reported.
        after: memory of the new one.
        passes: what each pass that ran left; a pass that made something worse is left out.
        builds: every build of the kernel class.
        bound_bytes: no plan of the new file, with these overlaps, has a lower head in the build of the class with the
            largest scratch buffers; None without a plan.
        floor_bytes: no plan of the new file that keeps tensors whole has a lower head, whatever the order and the kernels;
            None with bands, which do not keep them whole.
        libraries: kernel libraries that the plan is safe with, by replay.
        notes: what a user has to know.
        inputs: inputs that have become int8, so that the application has to quantise them.
    """

    content: bytes
    kernels: str
    before: MemoryReport
    after: MemoryReport
    passes: tuple[PassUse, ...]
    builds: tuple[BuildUse, ...]
    bound_bytes: int | None
    floor_bytes: int | None
    libraries: tuple[str, ...]
    notes: tuple[str, ...]
    inputs: tuple[InputChange, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Something was gained."""
        return bool(self.passes)


def shrink(
    content: bytes,
    *,
    kernels: str = ANY,
    profile: Profile | None = None,
    without: Collection[str] = (),
    name: str = "<bytes>",
    time_s: float = 1.0,
    int8_input: bool = False,
) -> Shrunk:
    """Rewrite a model. The result is replayed for its kernels; running it is `firmware_sim.rewrite.proof.prove`'s.

    Args:
        content: a .tflite file.
        kernels: the kernel class whose builds are to run it.
        profile: the build to report; by default the first of the class.
        without: passes to leave out, by their names in `PASSES`.
        name: what to call the model.
        time_s: for the exact search of one plan.
        int8_input: let the model take int8 where it quantises its input at once; this changes its interface.

    Raises:
        ModelError: the file cannot be read, TFLM refuses it, it cannot be rewritten without loss, or `int8_input` was asked
            for and no input can become int8.
        UsageError: there is no such kernel class or pass, or `profile` does not belong to the class.
    """
    builds = profiles_of(kernels)
    profile = profile or builds[0]
    if profile not in builds:
        raise UsageError(f"the build {profile.id} has other kernels than {kernels}")
    for unknown in set(without) - set(PASSES):
        raise UsageError(f"unknown pass {unknown!r}", hint=f"passes: {', '.join(PASSES)}")
    model = read(content, name=name)
    before = {build.id: memreport(model, profile=build) for build in builds}  # refuses what TFLM refuses
    check(model)
    start, inputs = with_int8_input(content, name=name) if int8_input else (content, ())
    run = _Run(kernels, builds, profile, frozenset(without), name, time_s)
    best = run.best(start)
    passes = (run.use(INT8_INPUT, start), *best.passes) if inputs else best.passes
    notes = best.notes if passes else (*best.notes, "nothing to gain: the file stays as it is")
    written = read(best.content, name=name)
    after = {build.id: memreport(written, profile=build) for build in builds} if passes else before
    damages = stored.damages(written, kernels)
    if damages:
        raise InternalError(
            f"the plan fails its replay at operator {damages[0].operator}; nothing was written", where=name
        )
    return Shrunk(
        content=best.content,
        kernels=kernels,
        before=before[profile.id],
        after=after[profile.id],
        passes=passes,
        builds=tuple(BuildUse.of(build, before[build.id], after[build.id]) for build in builds),
        bound_bytes=best.bound_bytes,
        floor_bytes=floor_bytes(written),
        libraries=stored.safe_libraries(written),
        notes=notes,
        inputs=inputs,
    )


Arenas = Mapping[str, ArenaUse]
"""By the build's id."""


class _Known(NamedTuple):
    """What is known of a file."""

    arenas: Arenas
    macs: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A file, the passes that made it, its memory in every build, and what its plan cannot be below."""

    content: bytes
    passes: tuple[PassUse, ...]
    arenas: Arenas
    bound_bytes: int | None = None
    notes: tuple[str, ...] = ()

    def head_bytes(self) -> list[int]:
        return [arena.head_bytes for arena in self.arenas.values()]


@dataclass(frozen=True, slots=True)
class _Run:
    kernels: str
    builds: tuple[Profile, ...]
    profile: Profile
    without: frozenset[str]
    name: str
    time_s: float
    drafts: dict[bytes, Draft] = field(default_factory=dict)
    known: dict[bytes, _Known] = field(default_factory=dict)

    def best(self, content: bytes) -> _Outcome:
        """What all passes together give, or the best of fewer where a pass makes some build worse.

        An order with a lower peak can be harder to plan, so that a new order is always held against the old one.
        """
        before = self.arenas(content)
        outcomes: list[_Outcome] = []
        # Only kernel libraries differ in their scratch buffers.
        libraries = {class_of(build) for build in self.builds}
        for builds in (self.builds, (self.profile,))[: len(libraries)]:
            for chain in _CHAINS:
                stages = self.rewritten(content, chain, builds)
                outcomes.append(self.planned(content, stages, builds))
                files = [before, *(self.arenas(file) for _, file in stages), outcomes[-1].arenas]
                is_reordered = any(name == "reorder" for name, _ in stages)
                if not is_reordered and all(_never_worse(after, one) for one, after in pairwise(files)):
                    break
        accepted = [outcome for outcome in outcomes if _never_worse(outcome.arenas, before)]
        builds = (self.profile, *self.builds)
        return min(accepted, key=lambda outcome: [outcome.arenas[build.id].total_bytes for build in builds])

    def rewritten(self, content: bytes, chain: tuple[str, ...], builds: Sequence[Profile]) -> list[tuple[str, bytes]]:
        """Name and file after each pass of a chain that changed anything."""
        stages = []
        for name in chain:
            if name in self.without:
                continue
            draft = self.draft(content)
            changed = _REWRITES[name](draft, self.kernels, builds)
            if changed.graphs != draft.graphs:
                content = finish(changed)
                stages.append((name, content))
        return stages

    def planned(self, content: bytes, stages: list[tuple[str, bytes]], builds: Sequence[Profile]) -> _Outcome:
        """The outcome of a chain, with a plan if that is better."""
        passes = tuple(self.use(name, changed) for name, changed in stages)
        content = stages[-1][1] if stages else content
        outcome = _Outcome(content, passes, self.arenas(content))
        for name, overlap in (("plan", False), ("overlap", True)):
            if name in self.without or "plan" in self.without:
                continue
            found = plan(self.draft(content).model, self.kernels, overlap=overlap, time_s=self.time_s, builds=builds)
            if found.solution is None:
                return replace(outcome, notes=(f"no memory plan: {found.reason}",))
            if found.solution.peak_bytes >= max(outcome.arenas[build.id].head_bytes for build in builds):
                continue
            file = self.with_plan(content, found, overlap)
            arenas = self.arenas(file)
            if _never_worse(arenas, outcome.arenas) and _saves(arenas, outcome.arenas):
                passes = (*outcome.passes, self.use(name, file))
                outcome = _Outcome(file, passes, arenas, found.solution.bound_bytes)
        return outcome

    def with_plan(self, content: bytes, found: HeadPlan, overlap: bool) -> bytes:
        metadata = {RECORD: stored.record(self.kernels)} if overlap else {}
        return finish(replace(self.draft(content), offsets=found.offsets, metadata=metadata))

    def draft(self, content: bytes) -> Draft:
        if content not in self.drafts:
            self.drafts[content] = open_draft(content, name=self.name)
        return self.drafts[content]

    def arenas(self, content: bytes) -> Arenas:
        return self.known_of(content).arenas

    def known_of(self, content: bytes) -> _Known:
        if content not in self.known:
            draft = self.drafts.get(content)
            model = draft.model if draft else read(content, name=self.name)
            arenas = {build.id: arena(model, build) for build in self.builds}
            self.known[content] = _Known(arenas, costs.model_macs(model))
        return self.known[content]

    def use(self, name: str, content: bytes) -> PassUse:
        known = self.known_of(content)
        use = known.arenas[self.profile.id]
        return PassUse(name, use.head_bytes, use.total_bytes, len(content), known.macs)


def _never_worse(after: Arenas, before: Arenas) -> bool:
    return all(after[key].total_bytes <= arena.total_bytes for key, arena in before.items())


def _saves(after: Arenas, before: Arenas) -> bool:
    return any(after[key].total_bytes < arena.total_bytes for key, arena in before.items())


def _reordered(draft: Draft, kernels: str, builds: Sequence[Profile]) -> Draft:
    graph, _ = reorder(draft.graphs[0], order_costs(draft.model, kernels, builds))
    return draft.with_graph(0, graph)


_REWRITES: Final[Mapping[str, Callable[[Draft, str, Sequence[Profile]], Draft]]] = {
    "fold-pad": lambda draft, kernels, builds: fold_padding(draft),
    "clean": lambda draft, kernels, builds: clean(draft),
    "reorder": _reordered,
}
# The others are for models that a pass makes worse in some build.
_CHAINS: Final = (("fold-pad", "clean", "reorder"), ("fold-pad", "clean"), ("clean", "reorder"), ("clean",), ())
