"""The exact arena of a graph with stages in bands, without writing the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from firmware_sim.costs import model_macs
from firmware_sim.errors import ModelError
from firmware_sim.memory.account import arena
from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.memory.offline import METADATA, OfflinePlan
from firmware_sim.memory.tail import Tail, tail
from firmware_sim.model import Model
from firmware_sim.overlap.plan import plan, profiles_of
from firmware_sim.overlap.rules import class_of
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.bands.build import Banding, banded
from firmware_sim.rewrite.bands.forms import EXPLICIT, LOOP, Way, Written, ways
from firmware_sim.rewrite.bands.shapes import repeated
from firmware_sim.rewrite.draft import Draft, model_of


@dataclass(frozen=True, slots=True)
class Price:
    """What a choice of bands costs.

    Attributes:
        bandings: the choice.
        arena_bytes: the smallest arena that initialises, in the build that is reported.
        head_bytes: the plan.
        total_bytes: head and tail.
        bound_bytes: no plan of these bands has a lower head.
        macs: multiply-accumulates of the network.
        offsets: the plan, by the numbers of the draft.
        way: in which of the `firmware_sim.rewrite.bands.forms.ways` it is written.
    """

    bandings: tuple[Banding, ...]
    arena_bytes: int
    head_bytes: int
    total_bytes: int
    bound_bytes: int
    macs: int
    offsets: Mapping[int, int] = field(repr=False)
    way: int = 0


@dataclass(frozen=True)
class Pricer:
    """Prices of bands of one draft, each reckoned once.

    Plans are made with as many steps of the exact search whatever the clock says (`time_s` 0), so that the same network has
    the same bands on a busy machine too: prices without a file count on that.
    """

    draft: Draft
    kernels: str
    profile: Profile
    form: str = EXPLICIT
    time_s: float = 0.0
    known: dict[tuple[Banding, ...], Price | None] = field(default_factory=dict)
    runs: dict[Banding, tuple[range, ...]] = field(default_factory=dict)

    @cached_property
    def builds(self) -> tuple[Profile, ...]:
        """The build that is reported, and one for each other kernel library of the class: scratch buffers do not differ."""
        chosen = {class_of(build): build for build in reversed(profiles_of(self.kernels))}
        return tuple({**chosen, class_of(self.profile): self.profile}.values())

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates without bands."""
        return model_macs(self.draft.model)

    @cached_property
    def input_bytes(self) -> int:
        """What no head is below."""
        subgraph = self.draft.model.subgraphs[0]
        return sum(tensor_bytes(subgraph.tensors[index]) for index in subgraph.inputs)

    @cached_property
    def scratch(self) -> frozenset[int]:
        """Operators that ask for scratch buffers, in any of the builds."""
        tails = [tail(self.draft.model, build, OfflinePlan(())) for build in self.builds]
        return frozenset(request.operator for one in tails for request in one.scratch)

    def price(self, bandings: Sequence[Banding], enough_bytes: int = 0) -> Price | None:
        """The price of a choice; None where the kernels could not work with its plan.

        Args:
            bandings: the choice.
            enough_bytes: a head that is not looked below.
        """
        key = tuple(sorted(bandings, key=lambda one: one.stage.first))
        if key not in self.known:
            self.known[key] = self._price(key, enough_bytes)
        return self.known[key]

    def loops(self, banding: Banding) -> tuple[range, ...]:
        """The bands of a stage that are written as loops, as `firmware_sim.rewrite.bands.build.repeated` counts them."""
        if self.form != LOOP or not banding.in_loops or banding.stage.result in self.draft.graphs[0].outputs:
            return ()
        if banding not in self.runs:
            self.runs[banding] = repeated(banding)
        return self.runs[banding]

    def draft_of(self, bandings: Sequence[Banding]) -> Draft:
        """The draft with its stages in bands."""
        return self.draft.with_graph(0, banded(self.draft.graphs[0], bandings))

    def written(self, price: Price) -> Written:
        """The draft of a choice in the form that is asked for."""
        return next(islice(ways(self.draft, price.bandings, self.form, self.scratch), price.way, None)).file

    def _price(self, bandings: tuple[Banding, ...], enough_bytes: int) -> Price | None:
        extra = sum(one.extra_macs() for one in bandings)
        best: Price | None = None
        model: Model | None = None
        tails: list[Tail] = []
        for number, way in enumerate(ways(self.draft, bandings, self.form, self.scratch)):
            if way.model is not model:
                model = way.model
                tails = [tail(model, build, OfflinePlan(())) for build in self.builds]
            price = self._way_price(way, tails, enough_bytes, None if best is None else best.arena_bytes)
            if price is not None and (best is None or price.arena_bytes < best.arena_bytes):
                best = replace(price, bandings=bandings, macs=self.macs + extra, way=number)
        return best

    def _way_price(self, way: Way, tails: Sequence[Tail], enough_bytes: int, had_bytes: int | None) -> Price | None:
        """The price of one way, without bands and multiplications.

        None without a search where it would not be below `had_bytes` even with a head of `enough_bytes`.
        """
        has_variables = any(tensor.is_variable for tensor in way.model.subgraphs[0].tensors)
        result, finished = way.model, tails[self.builds.index(self.profile)]
        if way.file.draft is not way.draft:
            result = model_of(way.file.draft)
            finished = tail(result, self.profile, OfflinePlan(()))
        below_bytes = None if had_bytes is None else had_bytes - finished.used_bytes
        if below_bytes is not None and below_bytes <= max(self.input_bytes, enough_bytes):
            return None
        found = plan(
            way.model, self.kernels, time_s=self.time_s, tails=tails, choices=way.choices, enough_bytes=enough_bytes,
            below_bytes=below_bytes, seen=way.file.seen, ties=way.ties,
        )  # fmt: skip
        if found.solution is None:
            raise ModelError(f"no memory plan: {found.reason}", where=way.model.path)
        numbers = sorted(way.draft.graphs[0].tensors)
        offsets = {numbers[number]: offset for number, offset in found.offsets[0].items()}
        words = way.file.draft.plan(way.file.places(offsets))
        planned = replace(result, metadata={**result.metadata, METADATA: memoryview(words)})
        use = arena(planned, self.profile, None if has_variables else finished)
        bound_bytes = min(found.solution.bound_bytes, use.head_bytes)
        return Price((), use.needed_bytes, use.head_bytes, use.total_bytes, bound_bytes, 0, offsets)
