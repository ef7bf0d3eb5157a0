"""Layers with several integer forms: which form each takes, by the arena of the whole network.

A lowering asks `Builder.choose` which of its forms to write. The first form is what it writes when nobody has a preference.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar, cast

from exporters.arena import Account
from exporters.graph import Operator

METADATA: Final = "sapool.forms/1"
"""Name of the metadata entry of a .tflite that says which forms its layers have."""

_EXHAUSTIVE: Final = 16  # combinations up to which all are priced
_ROUNDS: Final = 3


@dataclass(slots=True)
class Forms:
    """The forms to write, by choice; and, after a lowering, the choices that it met.

    Args:
        wanted: name of the form for a choice; a choice without one takes its first form.

    Attributes:
        met: the names of the forms of each choice, in the order of the network.
    """

    wanted: Mapping[str, str] = field(default_factory=dict)
    met: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def take(self, choice: str, names: tuple[str, ...]) -> str:
        """The form to write for a choice among `names`."""
        self.met[choice] = names
        wanted = self.wanted.get(choice, names[0])
        return wanted if wanted in names else names[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice that was made.

    Attributes:
        layer: path of the module, and what the choice is about.
        form: the form that the file has.
        arena_bytes: arena of the whole network for each form of this layer, the other layers as they are in the file.
    """

    layer: str
    form: str
    arena_bytes: Mapping[str, int]


class Lowered(Protocol):
    """A network in some combination of forms, as a graph or on the way to one."""

    @property
    def operators(self) -> Sequence[Operator]:
        """Its operators."""


Network = TypeVar("Network", bound=Lowered)


def choose(
    lower: Callable[[Forms], Network], profile: str = "host64", cost: Callable[[Network, str], int] | None = None
) -> tuple[Network, tuple[Choice, ...]]:
    """The graph whose arena is smallest, and the choices behind it.

    Every combination is priced where they are few. Otherwise each layer in turn takes its cheapest form, again and again
    until nothing changes, starting from the best network in which all layers have the form of one name. Of equally large
    networks the one with the fewest operators is taken, of these the one whose layers have the forms that come first.

    Args:
        lower: the float graph for given forms; it meets the same choices whatever the forms are.
        profile: build of TFLM that the arena is for; see `firmware_sim.profiles`.
        cost: arena of what `lower` gives, under a profile; by default `exporters.arena`'s, of a float graph. For one that is
            larger than another that was priced before, any figure larger than that will do.
    """
    first = Forms()
    graph = lower(first)
    if not first.met:
        return graph, ()
    candidates = _Candidates(lower, profile, cost or cast("Callable[[Network, str], int]", Account().arena_bytes))
    taken = min(_starts(first.met), key=candidates.price)
    if math.prod(map(len, first.met.values())) > _EXHAUSTIVE:
        taken = _descend(first.met, taken, candidates)
    choices = tuple(
        Choice(layer, taken[layer], {form: candidates.price({**taken, layer: form})[0] for form in names})
        for layer, names in first.met.items()
    )
    return candidates.graph(taken), choices


def describe(choices: tuple[Choice, ...]) -> bytes:
    """The choices as the content of the metadata entry."""
    return json.dumps({choice.layer: choice.form for choice in choices}, sort_keys=True).encode("utf-8")


def _starts(met: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    """All combinations where they are few, else those in which every layer that has a form of one name takes it."""
    if math.prod(map(len, met.values())) <= _EXHAUSTIVE:
        for forms in itertools.product(*met.values()):
            yield dict(zip(met, forms, strict=True))
        return
    for form in dict.fromkeys(form for names in met.values() for form in names):
        yield {layer: form if form in names else names[0] for layer, names in met.items()}


def _descend(
    met: Mapping[str, tuple[str, ...]], taken: dict[str, str], candidates: _Candidates[Network]
) -> dict[str, str]:
    for _ in range(_ROUNDS):
        before = taken
        for layer, names in met.items():
            taken = min(({**taken, layer: form} for form in names), key=candidates.price)
        if taken == before:
            break
    return taken


class _Candidates(Generic[Network]):
    """The network for given forms, with its price; each is made once."""

    def __init__(self, lower: Callable[[Forms], Network], profile: str, cost: Callable[[Network, str], int]) -> None:
        self._lower, self._profile, self._cost = lower, profile, cost
        self._known: dict[frozenset[tuple[str, str]], tuple[Network, int]] = {}

    def graph(self, taken: Mapping[str, str]) -> Network:
        return self._of(taken)[0]

    def price(self, taken: Mapping[str, str]) -> tuple[int, int]:
        """Arena and number of operators."""
        graph, arena = self._of(taken)
        return arena, len(graph.operators)

    def _of(self, taken: Mapping[str, str]) -> tuple[Network, int]:
        key = frozenset(taken.items())
        if key not in self._known:
            graph = self._lower(Forms(taken))
            self._known[key] = (graph, self._cost(graph, self._profile))
        return self._known[key]
