"""The specification of a network, as an object and as a line of text.

    mobilenet_v2-self_attentive-1221121
    mobilenet_v2-self_attentive-2121111:width=0.35,resolution=32,classes=10,heads=2

Backbone, pooling method and stride string (one digit a stage) come first; what differs from its default follows as
name=value. `parse(str(spec)) == spec` for every specification.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from sapool import catalog
from sapool.errors import UsageError

Option = int | float | bool

_LARGEST_RESOLUTION = 4096
_LARGEST_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What network to build. Checked when it is made: an object of this class makes sense.

    Args:
        backbone: "mobilenet_v2".
        pooling: method that shrinks the maps: "strided", "max", "average", "self_attentive".
        strides: one digit a stage, the factor by which the stage shrinks the map; "1222121" is the usual MobileNetV2.
        width: multiplier of the channels.
        placement: where in its stage the pool stands: "before" the first block, "after" it, or at the "end". A strided
            convolution is the depthwise one of the first block (of the last block for "end").
        prepool: a pool by this factor in place of the stem's stride of 2; 1 keeps the stride.
        resolution: height and width of the input, in pixels.
        classes: number of outputs.
        channels: channels of the input.
        options: settings of the pooling method, by name (for "self_attentive": patch, heads, ratio, window_norm).

    Raises:
        UsageError: a name is unknown, a value is out of range, or a stage has nothing left to shrink.
    """

    backbone: str = "mobilenet_v2"
    pooling: str = "strided"
    strides: str = "1222121"
    width: float = 1.0
    placement: str = "before"
    prepool: int = 1
    resolution: int = 32
    classes: int = 10
    channels: int = 3
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        catalog.known("backbone", self.backbone, catalog.BACKBONES)
        catalog.known("pooling method", self.pooling, catalog.POOLING)
        catalog.known("placement", self.placement, catalog.PLACEMENTS)
        stages = catalog.STAGES[self.backbone]
        if len(self.strides) != stages or not set(self.strides) <= set("123456789"):
            raise UsageError(
                f"strides {self.strides!r} make no sense for {self.backbone}",
                hint=f"give {stages} digits from 1 to 9, one a stage; the usual net is {_USUAL[self.backbone]}",
            )
        _within("width", self.width, 0.01, 16)
        _within("prepool", self.prepool, 1, 64)
        _within("resolution", self.resolution, 1, _LARGEST_RESOLUTION)
        _within("classes", self.classes, 1, _LARGEST_CLASSES)
        _within("channels", self.channels, 1, 64)
        for name in self.options:
            catalog.known(f"option of {self.pooling} pooling", name, catalog.POOLING_OPTIONS[self.pooling])
        # A plain dict would make equal specifications unequal in text.
        object.__setattr__(self, "options", dict(sorted(self.options.items())))
        extents(self)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        settings = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name in _SETTINGS and getattr(self, f.name) != f.default
        }
        settings.update(self.options)
        head = f"{self.backbone}-{self.pooling}-{self.strides}"
        return head + (":" + ",".join(f"{name}={_text(value)}" for name, value in settings.items()) if settings else "")

    def with_settings(self, **settings: Any) -> ModelSpec:
        """The same specification with other settings; those that are None stay as they are."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})


_USUAL: Final[Mapping[str, str]] = {"mobilenet_v2": "1222121"}
_SETTINGS: Final[Mapping[str, type]] = {
    "width": float, "placement": str, "prepool": int, "resolution": int, "classes": int, "channels": int,
}  # fmt: skip


def parse(text: str) -> ModelSpec:
    """The specification that a line of text describes; strides may be left out (the usual ones), pooling too (strided).

    Raises:
        UsageError: what is wrong with it, with the nearest known name.
    """
    head, _, tail = text.strip().partition(":")
    parts = head.split("-")
    if len(parts) > 3:
        raise UsageError(
            f"{head!r} has {len(parts)} parts", where="model", hint="write BACKBONE-POOLING-STRIDES:name=value,..."
        )
    backbone = catalog.known("backbone", parts[0], catalog.BACKBONES)
    pooling = catalog.known("pooling method", parts[1], catalog.POOLING) if len(parts) > 1 else "strided"
    strides = parts[2] if len(parts) > 2 else _USUAL[backbone]
    allowed: dict[str, type] = {**_SETTINGS, **catalog.POOLING_OPTIONS[pooling]}
    settings: dict[str, Any] = {}
    for entry in filter(None, tail.split(",")):
        name, equals, value = (part.strip() for part in entry.partition("="))
        catalog.known("setting", name, allowed)
        if not equals or name in settings:
            raise UsageError(f"setting {name!r} " + ("is given twice" if equals else "has no value"), where="model")
        settings[name] = _value(name, value, allowed[name])
    options = {name: settings.pop(name) for name in catalog.POOLING_OPTIONS[pooling] if name in settings}
    return ModelSpec(backbone, pooling, strides, options=options, **settings)


def extents(spec: ModelSpec) -> tuple[int, ...]:
    """Height (= width) of the map after the stem and after each stage, in pixels: one entry more than stages.

    The stem halves the input, rounding up (SAME padding), unless `prepool` takes its place. A pool must find a map that
    its stride divides, for windows that are cut off would see less than the whole map; a strided convolution rounds up.

    Raises:
        UsageError: a stage has no spatial extent left, or a pool's stride does not divide its map.
    """
    size = spec.resolution
    if spec.prepool > 1:
        _divides(spec.prepool, size, "prepool")
        size //= spec.prepool
    else:
        size = -(-size // 2)
    result = [size]
    for stage, digit in enumerate(spec.strides, start=1):
        stride = int(digit)
        if size < stride:
            raise UsageError(
                f"stage {stage} has no spatial extent left at {spec.resolution}x{spec.resolution} with strides "
                f"{spec.strides}",
                hint=f"its map is {size}x{size} before a stride of {stride}; use smaller strides or a larger resolution",
            )
        if spec.pooling != "strided":
            _divides(stride, size, f"stage {stage}")
        size = -(-size // stride)
        result.append(size)
    return tuple(result)


def _divides(stride: int, size: int, where: str) -> None:
    if size % stride:
        raise UsageError(
            f"a pool of {stride} does not divide a map of {size}x{size}",
            where=where,
            hint="choose a resolution that the product of all strides divides",
        )


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise UsageError(f"{name} {value:g} makes no sense", hint=f"it must lie between {low:g} and {high:g}")


def _text(value: Option | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _value(name: str, text: str, kind: type) -> Option | str:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    else:
        try:
            number: Option = kind(text)
            return number
        except ValueError:
            pass
    wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
    raise UsageError(f"{name} must be {wanted}, not {text!r}", where="model")
