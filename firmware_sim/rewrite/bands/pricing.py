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
from firmware_sim.rewrite.bands.forms import EXPLICIT, WAYS, Kinds, Written, written
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
        kinds: the way in which it is written (`firmware_sim.rewrite.bands.forms.WAYS`).
    """

    bandings: tuple[Banding, ...]
    arena_bytes: int
    head_bytes: int
    total_bytes: int
    bound_bytes: int
    macs: int
    offsets: Mapping[int, int] = field(repr=False)
    kinds: Sequence[Kinds] = ()


@dataclass(frozen=True)
class Pricer:
    """Prices of bands of one draft, each reckoned once."""

    draft: Draft
    kernels: str
    profile: Profile
    time_s: float = 0.1
    form: str = EXPLICIT
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

    def price(self, bandings: Sequence[Banding]) -> Price | None:
        """The price of a choice; None where the kernels could not work with its plan."""
        key = tuple(sorted(bandings, key=lambda one: one.stage.first))
        if key not in self.known:
            self.known[key] = self._price(key)
        return self.known[key]

    def draft_of(self, bandings: Sequence[Banding]) -> Draft:
        """The draft with its stages in bands."""
        return self.draft.with_graph(0, banded(self.draft.graphs[0], bandings))

    def written(self, price: Price) -> Written:
        """The draft of a choice in the form that is asked for."""
        draft = self.draft_of(price.bandings)
        return written(draft, model_of(draft), self.form, price.kinds)

    def _price(self, bandings: tuple[Banding, ...]) -> Price | None:
        draft = self.draft_of(bandings)
        model = model_of(draft)
        tails = {build: tail(model, build, OfflinePlan(())) for build in self.builds}
        extra = sum(one.stage.macs(one.stage.steps(rows, one.trimmed)) for one in bandings for rows in one.bands) - sum(
            one.stage.whole_macs for one in bandings
        )
        numbers = sorted(draft.graphs[0].tensors)
        has_variables = any(tensor.is_variable for tensor in model.subgraphs[0].tensors)
        prices: list[Price] = []
        # Without bands all ways are one.
        for kinds in WAYS[self.form] if bandings else WAYS[EXPLICIT]:
            file = written(draft, model, self.form, kinds)
            result = model_of(file.draft) if file.storages else model
            finished = tail(result, self.profile, OfflinePlan(())) if file.storages else tails[self.profile]
            below_bytes = min((price.arena_bytes - finished.used_bytes for price in prices), default=None)
            found = plan(
                model, self.kernels, time_s=self.time_s, tails=list(tails.values()), choices=kinds, seen=file.seen,
                below_bytes=below_bytes,
            )  # fmt: skip
            if found.solution is None:
                raise ModelError(f"no memory plan: {found.reason}", where=model.path)
            offsets = {numbers[number]: offset for number, offset in found.offsets[0].items()}
            words = encode([offsets.get(index) for index in sorted(file.draft.graphs[0].tensors)])
            planned = replace(result, metadata={**result.metadata, METADATA: memoryview(words)})
            use = arena(planned, self.profile, None if has_variables else finished)
            bound_bytes = min(found.solution.bound_bytes, use.head_bytes)
            prices.append(
                Price(
                    bandings, use.needed_bytes, use.head_bytes, use.total_bytes, bound_bytes, self.macs + extra, offsets,
                    kinds,
                )
            )  # fmt: skip
        return min(prices, key=lambda price: price.arena_bytes)
