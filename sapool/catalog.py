"""Names of everything that can be asked for, without importing torch: the registries fill in the code behind them.

A specification is parsed and checked in places where torch is not installed, so the names of backbones and pooling
methods, and what a specification must know of them, stand here. Tests hold this file against the code.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sapool.errors import UsageError

OptionType = type[int] | type[float] | type[bool]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A family of networks.

    Attributes:
        module: the module that registers it.
        strides: its usual stride string, one digit a stage.
        blocks: how many blocks each stage has.
        stem_strides: factors by which the stem shrinks the input, one after the other. The first one is that of a
            convolution, which a prepool takes the place of.
        adds: blocks add their input to their output, so that the blocks of a stage have one width.
        inner: the widths that a block has of its own, as `sapool.pruned` marks them behind its number.
        widens: a last convolution stands between the stages and the mean.
        without: widths that the other fields promise and that it lacks.
    """

    module: str
    strides: str
    blocks: tuple[int, ...]
    stem_strides: tuple[int, ...] = (2,)
    adds: bool = True
    inner: tuple[str, ...] = ("",)
    widens: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """An attention module, which keeps the shape of its map and may take the place of a block.

    Attributes:
        module: the module that defines it.
        name: its class, built from the channels and its options.
        options: its settings and their types.
        sized: its constructor takes the extent of the map behind the channels.
    """

    module: str
    name: str
    options: Mapping[str, OptionType]
    sized: bool = False


@dataclass(frozen=True, slots=True)
class Method:
    """A pooling method.

    Attributes:
        module: the module that registers it.
        options: its settings and their types.
        strides_convolution: in a network a convolution takes the stride, and no layer is added.
    """

    module: str
    options: Mapping[str, OptionType] = field(default_factory=dict)
    strides_convolution: bool = False


BACKBONES: Final[dict[str, Backbone]] = {
    "mobilenet_v1": Backbone("sapool.models.mobilenet_v1", "12222", (1, 2, 2, 6, 2), adds=False),
    "mobilenet_v2": Backbone(
        "sapool.models.mobilenet_v2", "1222121", (1, 2, 3, 4, 3, 3, 1), widens=True, without=("b1",)
    ),
    "resnet18": Backbone("sapool.models.resnet", "1222", (2, 2, 2, 2), (2, 2)),
    "resnet50": Backbone("sapool.models.resnet", "1222", (3, 4, 6, 3), (2, 2), inner=("", "x")),
}

MODULES: Final[dict[str, Module]] = {
    "subspace_attention": Module(
        "sapool.pooling.subspace_attention", "SubspaceAttention", {"groups": int, "reduction": int}, sized=True
    ),
    "ulsam": Module("sapool.pooling.ulsam", "ULSAM", {"groups": int, "gain": bool}),
}

POOLING: Final[dict[str, Method]] = {
    "average": Method("sapool.pooling.average"),
    "blurpool": Method("sapool.pooling.blurpool", {"taps": int}),
    "gaussian": Method("sapool.pooling.gaussian"),
    "lip": Method("sapool.pooling.lip"),
    "lip_original": Method("sapool.pooling.lip_original"),
    "max": Method("sapool.pooling.max"),
    "rnnpool": Method("sapool.pooling.rnnpool", {"patch": int}),
    "self_attentive": Method(
        "sapool.pooling.self_attentive",
        {"patch": int, "heads": int, "ratio": float, "window_norm": bool, "embedding": int},
    ),
    "softpool": Method("sapool.pooling.softpool"),
    "strided": Method("sapool.pooling.strided", strides_convolution=True),
    "subspace_attention": Method("sapool.pooling.subspace_attention", {"groups": int, "reduction": int}),
    "ulsam": Method("sapool.pooling.ulsam", {"groups": int, "gain": bool}),
}

PLACEMENTS: Final = ("before", "after", "end")

PADDINGS: Final = ("same", "symmetric")


def known(kind: str, name: str, names: Iterable[str], *, where: str | None = None) -> str:
    """`name` if it is one of `names`.

    Raises:
        UsageError: it is not; the hint has the nearest one, or all of them.
    """
    names = tuple(names)
    if name in names:
        return name
    near = difflib.get_close_matches(str(name), names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}" if names else "there are none"
    raise UsageError(f"no {kind} is called {name!r}", where=where, hint=hint)
