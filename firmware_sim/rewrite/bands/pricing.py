"""The exact arena of a graph with stages in bands, without writing the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from firmware_sim.costs import macs
from firmware_sim.errors import ModelError
from firmware_sim.memory.account import arena
from firmware_sim.memory.offline import METADATA, OfflinePlan, encode
from firmware_sim.memory.tail import tail
from firmware_sim.overlap.plan import plan, profiles_of
from firmware_sim.overlap.rules import class_of
from firmware_sim.profiles import Profile
from firmware_sim.rewrite.bands.build import Banding, banded
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
    """

    bandings: tuple[Banding, ...]
    arena_bytes: int
    head_bytes: int
    total_bytes: int
    bound_bytes: int
    macs: int
    offsets: Mapping[int, int] = field(repr=False)


@dataclass(frozen=True)
class Pricer:
    """Prices of bands of one draft, each reckoned once.

    Plans are made with as many steps of the exact search whatever the clock says (`time_s` 0), so that the same network has
    the same bands on a busy machine too: prices without a file count on that.
    """

    draft: Draft
    kernels: str
    profile: Profile
    time_s: float = 0.0
    known: dict[tuple[Banding, ...], Price | None] = field(default_factory=dict)

    @cached_property
    def builds(self) -> tuple[Profile, ...]:
        """The build that is reported, and one for each other kernel library of the class: scratch buffers do not differ."""
        chosen = {class_of(build): build for build in reversed(profiles_of(self.kernels))}
        return tuple({**chosen, class_of(self.profile): self.profile}.values())

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates without bands."""
        subgraph = self.draft.model.subgraphs[0]
        return sum(macs(operator, subgraph.tensors) for operator in subgraph.operators)

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

    def draft_of(self, bandings: Sequence[Banding]) -> Draft:
        """The draft with its stages in bands."""
        return self.draft.with_graph(0, banded(self.draft.graphs[0], bandings))

    def _price(self, bandings: tuple[Banding, ...], enough_bytes: int) -> Price | None:
        draft = self.draft_of(bandings)
        model = model_of(draft)
        tails = {build: tail(model, build, OfflinePlan(())) for build in self.builds}
        found = plan(model, self.kernels, time_s=self.time_s, tails=list(tails.values()), enough_bytes=enough_bytes)
        if found.solution is None:
            raise ModelError(f"no memory plan: {found.reason}", where=model.path)
        offsets = found.offsets[0]
        words = encode([offsets.get(tensor.index) for tensor in model.subgraphs[0].tensors])
        planned = replace(model, metadata={**model.metadata, METADATA: memoryview(words)})
        has_variables = any(tensor.is_variable for tensor in model.subgraphs[0].tensors)
        use = arena(planned, self.profile, None if has_variables else tails[self.profile])
        extra = sum(one.stage.macs(one.stage.steps(rows, one.trimmed)) for one in bandings for rows in one.bands) - sum(
            one.stage.whole_macs for one in bandings
        )
        numbers = sorted(draft.graphs[0].tensors)
        return Price(
            bandings,
            use.needed_bytes,
            use.head_bytes,
            use.total_bytes,
            min(found.solution.bound_bytes, use.head_bytes),
            self.macs + extra,
            {numbers[number]: offset for number, offset in offsets.items()},
        )
