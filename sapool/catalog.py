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
        stem_stride: factor by which the stem shrinks the input unless a prepool does.
    """

    module: str
    strides: str
    stem_stride: int


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
    "mobilenet_v2": Backbone("sapool.models.mobilenet_v2", "1222121", 2),
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
        "sapool.pooling.self_attentive", {"patch": int, "heads": int, "ratio": float, "window_norm": bool}
    ),
    "softpool": Method("sapool.pooling.softpool"),
    "strided": Method("sapool.pooling.strided", strides_convolution=True),
    "subspace_attention": Method("sapool.pooling.subspace_attention", {"groups": int, "reduction": int}),
    "ulsam": Method("sapool.pooling.ulsam", {"groups": int, "gain": bool}),
}

PLACEMENTS: Final = ("before", "after", "end")


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
