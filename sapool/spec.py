"""The specification of a network, as an object and as a line of text.

    mobilenet_v2-self_attentive-1221121
    mobilenet_v2-self_attentive-2121111:width=0.35,resolution=32,classes=10,heads=2
    mobilenet_v2-max/max/max/self_attentive/max/self_attentive/max-1222121:patch=2
    mobilenet_v2-strided-1222121:resolution=224,classes=1000,replace=12+13:ulsam
    mobilenet_v1-max-12222:width=0.25,pruned=stem:6/b2:20
    ulsam_v2_12:classes=10

Backbone, pooling method and stride string (one digit a stage) come first; what differs from its default follows as
name=value. A method, or an option of one, may be given for each stage, with slashes between. A preset (`sapool.presets`)
is a name for such a line, and may be followed by settings that take the place of its own. The text of a specification is
canonical: `parse(str(spec)) == spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from sapool import catalog, geometry, presets, pruned, replacement
from sapool.errors import UsageError
from sapool.replacement import Replacement
from sapool.settings import Option, from_text, to_text, typed

_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    # Wide enough for anything a microcontroller or its teacher runs, small enough that no typing error fills the memory.
    "width": (0.01, 8),
    "prepool": (1, 64),
    "resolution": (1, 4096),
    "classes": (1, 100_000),
    "channels": (1, 64),
}
_SETTINGS: Final[Mapping[str, type]] = {
    "width": float, "placement": str, "prepool": int, "resolution": int, "classes": int, "channels": int,
    "padding": str, "replace": tuple, "pruned": dict,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What network to build. Checked when it is made: an object of this class makes sense.

    Args:
        backbone: a name of `sapool.catalog.BACKBONES`.
        pooling: the method that shrinks the maps, a name of `sapool.catalog.POOLING`; or one name a stage.
        strides: one digit a stage, the factor by which the stage shrinks the map; "" takes the usual ones.
        width: multiplier of the channels.
        placement: where in its stage the pool stands: "before" the first block, "after" it, or at the "end". A strided
            convolution is the one of the first block (of the last block for "end").
        prepool: a pool by this factor in front of the stem, in place of the stem's stride; 1 keeps the stride.
        resolution: height and width of the input, in pixels.
        classes: number of outputs.
        channels: channels of the input.
        padding: of the convolutions (and of a ResNet's first pool): "same" as TFLite pads, or "symmetric" as torch does,
            for weights that were trained so. They differ where the stride is 2, by a pixel.
        replace: blocks that an attention module takes the place of.
        options: settings of the pooling methods, by name; a value, or one a stage. They go to the stages whose method has
            such a setting (for "self_attentive": patch, heads, ratio, window_norm).
        pruned: widths that differ from those of the multiplier, by their names in `sapool.pruned`.

    Raises:
        UsageError: a name is unknown, a value is out of range, or a stage has nothing left to shrink.
    """

    backbone: str = "mobilenet_v2"
    pooling: str | tuple[str, ...] = "strided"
    strides: str = ""
    width: float = 1.0
    placement: str = "before"
    prepool: int = 1
    resolution: int = 32
    classes: int = 10
    channels: int = 3
    padding: str = "same"
    replace: tuple[Replacement, ...] = ()
    options: Mapping[str, Option | tuple[Option, ...]] = field(default_factory=dict)
    pruned: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        catalog.known("backbone", self.backbone, catalog.BACKBONES)
        usual, blocks = catalog.BACKBONES[self.backbone].strides, catalog.BACKBONES[self.backbone].blocks
        # One form for equal specifications, so that equal ones have equal texts.
        _set(self, "strides", self.strides or usual)
        _set(self, "pooling", _one_or_each(self.pooling))
        _set(self, "replace", replacement.ordered(self.replace, sum(blocks)))
        _set(self, "pruned", pruned.ordered(self.pruned, self.backbone))
        _set(self, "options", {name: _one_or_each(value) for name, value in sorted(self.options.items())})
        if len(self.strides) != len(usual) or not set(self.strides) <= set("123456789"):
            raise UsageError(
                f"strides {self.strides!r} make no sense for {self.backbone}",
                hint=f"give {len(usual)} digits from 1 to 9, one a stage; the usual net is {usual}",
            )
        self._check_values()
        for name in self.methods:
            catalog.known("pooling method", name, catalog.POOLING)
        types = option_types(self.methods)
        for name, value in self.options.items():
            catalog.known(f"option of {to_text(self.pooling)} pooling", name, types)
            for each in self._each(name, value):
                typed(name, each, types[name])
        geometry.extents(self.resolution, self.stem, self.stages)

    def _check_values(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = typed(name, getattr(self, name), _SETTINGS[name])
            if not low <= value <= high:
                raise UsageError(f"{name} {value:g} makes no sense", hint=f"it must lie between {low:g} and {high:g}")
        catalog.known("placement", self.placement, catalog.PLACEMENTS)
        catalog.known("padding", self.padding, catalog.PADDINGS)

    def _each(self, name: str, value: Any) -> tuple[Any, ...]:
        """`value` of every stage."""
        if not isinstance(value, tuple):
            return (value,) * len(self.strides)
        if len(value) != len(self.strides):
            raise UsageError(
                f"{name} has {len(value)} values for {len(self.strides)} stages", hint="give one value, or one a stage"
            )
        return value

    @property
    def methods(self) -> tuple[str, ...]:
        """The pooling method of every stage."""
        return self._each("pooling", self.pooling)

    def options_of(self, stage: int) -> dict[str, Option]:
        """The settings for the pool of a stage (from 1): those that its method has."""
        allowed = catalog.POOLING[self.methods[stage - 1]].options
        return {name: self._each(name, value)[stage - 1] for name, value in self.options.items() if name in allowed}

    def replacement_of(self, block: int) -> Replacement | None:
        """What takes the place of a block (from 1), if anything does."""
        return next((each for each in self.replace if each.block == block), None)

    @property
    def stem(self) -> tuple[geometry.Shrink, ...]:
        """How the stem shrinks the input: by its strides, or by the prepool in place of the first one."""
        first, *pools = catalog.BACKBONES[self.backbone].stem_strides
        return (
            geometry.Shrink("the stem", first, whole=False)
            if self.prepool == 1
            else geometry.Shrink("prepool", self.prepool, whole=True),
            *(geometry.Shrink("the stem's pool", stride, whole=False) for stride in pools),
        )

    @property
    def stages(self) -> tuple[geometry.Shrink, ...]:
        """How each stage shrinks its map."""
        return tuple(
            geometry.Shrink(f"stage {number}", int(digit), whole=not catalog.POOLING[name].strides_convolution)
            for number, (digit, name) in enumerate(zip(self.strides, self.methods, strict=True), start=1)
        )

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        settings = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name in _SETTINGS and f.name != "pruned" and getattr(self, f.name) != f.default
        }
        if self.replace:
            settings["replace"] = replacement.format_(self.replace)
        if self.pruned:
            settings["pruned"] = pruned.format_(self.pruned)
        settings.update(self.options)
        head = f"{self.backbone}-{to_text(self.pooling)}-{self.strides}"
        tail = ",".join(f"{name}={to_text(value)}" for name, value in settings.items())
        return f"{head}:{tail}" if tail else head

    def with_settings(self, **settings: Any) -> ModelSpec:
        """The same specification with other settings; those that are None stay as they are."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})


def parse(text: str, **overrides: Any) -> ModelSpec:
    """The specification that a line of text describes; strides may be left out (the usual ones), pooling too (strided).

    Args:
        text: BACKBONE-POOLING-STRIDES:name=value,... or PRESET:name=value,...
        overrides: settings that take the place of those in the text; None leaves the text's. A specification that makes
            sense at 128 pixels only must be given its resolution here or in the text.

    Raises:
        UsageError: what is wrong with it, with the nearest known name.
    """
    head, _, tail = text.strip().partition(":")
    overrides = {name: value for name, value in overrides.items() if value is not None}
    if (preset := presets.find(head)) is not None:
        base = parse(preset.spec)
        settings, options = _settings(tail, base.methods)
        return base.with_settings(**{**settings, "options": {**base.options, **options}, **overrides})
    parts = head.split("-")
    if len(parts) > 3:
        raise UsageError(
            f"{head!r} has {len(parts)} parts", where="model", hint="write BACKBONE-POOLING-STRIDES:name=value,..."
        )
    methods = tuple(parts[1].split("/")) if len(parts) > 1 else ("strided",)
    for name in methods:
        catalog.known("pooling method", name, catalog.POOLING)
    settings, options = _settings(tail, methods)
    catalog.known("backbone", parts[0], (*catalog.BACKBONES, *presets.names()))
    return ModelSpec(
        parts[0],
        methods if len(methods) > 1 else methods[0],
        parts[2] if len(parts) > 2 else "",
        options=options,
        **{**settings, **overrides},
    )


def _settings(text: str, methods: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and options of pooling methods in name=value,..."""
    types = option_types(methods)
    settings: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for entry in filter(None, text.split(",")):
        name, equals, value = (part.strip() for part in entry.partition("="))
        catalog.known("setting", name, [*_SETTINGS, *types])
        place = settings if name in _SETTINGS else options
        if not equals or name in place:
            raise UsageError(f"setting {name!r} " + ("is given twice" if equals else "has no value"), where="model")
        if name == "replace":
            settings[name] = replacement.parse(value) if value else ()
        elif name == "pruned":
            settings[name] = pruned.parse(value)
        elif name in _SETTINGS:
            settings[name] = from_text(name, value, _SETTINGS[name])
        else:
            values = tuple(from_text(name, each, types[name]) for each in value.split("/"))
            options[name] = values if len(values) > 1 else values[0]
    return settings, options


def extents(spec: ModelSpec) -> tuple[int, ...]:
    """Height (= width) of the map after the stem and after each stage, in pixels: one entry more than stages."""
    return geometry.extents(spec.resolution, spec.stem, spec.stages)


def option_types(methods: tuple[str, ...]) -> dict[str, catalog.OptionType]:
    """The settings that these methods have between them, and their types."""
    return {name: kind for method in methods for name, kind in catalog.POOLING[method].options.items()}


def _set(spec: ModelSpec, name: str, value: object) -> None:
    object.__setattr__(spec, name, value)


def _one_or_each(value: Any) -> Any:
    """The same value for each stage is one value; a list is as good as a tuple."""
    if not isinstance(value, (tuple, list)):
        return value
    return value[0] if value and all(each == value[0] for each in value) else tuple(value)
