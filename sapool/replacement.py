"""Blocks of a network that an attention module takes the place of, as objects and as text.

    12:ulsam
    12+13:ulsam/15+16:ulsam:groups=8
    11:subspace_attention:groups=2:reduction=8

Blocks count from 1 through the whole network, as in the ULSAM paper (Saini et al., WACV 2020, arXiv 2006.15102): the
depthwise-separable blocks of MobileNetV1, the bottlenecks of MobileNetV2, the residual blocks of a ResNet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sapool import catalog
from sapool.errors import UsageError
from sapool.settings import Option, from_text, to_text, typed


@dataclass(frozen=True, slots=True)
class Replacement:
    """One block and what stands in its place.

    Args:
        block: which block of the network, from 1.
        module: a name of `sapool.catalog.MODULES`.
        options: settings of the module, by name.

    Raises:
        UsageError: a name is unknown, or a value is of the wrong type.
    """

    block: int
    module: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        typed("a replaced block", self.block, int)
        catalog.known("attention module", self.module, catalog.MODULES)
        types = catalog.MODULES[self.module].options
        for name, value in self.options.items():
            catalog.known(f"option of {self.module}", name, types)
            typed(name, value, types[name])
        object.__setattr__(self, "options", dict(sorted(self.options.items())))

    @property
    def settings(self) -> str:
        """The module with its options, as text."""
        return ":".join([self.module, *(f"{name}={to_text(value)}" for name, value in self.options.items())])

    def __hash__(self) -> int:
        return hash((self.block, self.settings))


def ordered(replacements: Iterable[Replacement], blocks: int) -> tuple[Replacement, ...]:
    """The replacements by block.

    Raises:
        UsageError: a block that the network, of `blocks` blocks, does not have, or one that is replaced twice.
    """
    by_block: dict[int, Replacement] = {}
    for each in replacements:
        if not isinstance(each, Replacement):
            raise UsageError(f"replace must hold Replacement objects, not {each!r}", where="model")
        if not 1 <= each.block <= blocks:
            raise UsageError(
                f"there is no block {each.block}", where="replace", hint=f"blocks count from 1 to {blocks}"
            )
        if each.block in by_block:
            raise UsageError(f"block {each.block} is replaced twice", where="replace")
        by_block[each.block] = each
    return tuple(by_block[block] for block in sorted(by_block))


def format_(replacements: Iterable[Replacement]) -> str:
    """The replacements as text; blocks with the same module and options stand together."""
    groups: dict[str, list[str]] = {}
    for each in replacements:
        groups.setdefault(each.settings, []).append(str(each.block))
    return "/".join(f"{'+'.join(blocks)}:{settings}" for settings, blocks in groups.items())


def parse(text: str) -> tuple[Replacement, ...]:
    """The replacements that a text describes, in its order.

    Raises:
        UsageError: what is wrong with it.
    """
    return tuple(each for group in text.split("/") for each in _group(group))


def _group(text: str) -> list[Replacement]:
    blocks, _, rest = text.partition(":")
    module, *entries = rest.split(":")
    if not rest:
        raise UsageError(
            f"{text!r} names no block and module", where="replace", hint="write BLOCK+BLOCK:MODULE:name=value"
        )
    types = catalog.MODULES[catalog.known("attention module", module, catalog.MODULES, where="replace")].options
    options: dict[str, Option] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        catalog.known(f"option of {module}", name, types, where="replace")
        if not equals or name in options:
            raise UsageError(f"option {name!r} " + ("is given twice" if equals else "has no value"), where="replace")
        options[name] = from_text(name, value, types[name])  # type: ignore[assignment]
    return [Replacement(int(from_text("a replaced block", block, int)), module, options) for block in blocks.split("+")]
