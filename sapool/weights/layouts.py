"""How libraries call the parts of the networks that sapool builds too.

The names come from the libraries' sources: torchvision/models/mobilenetv2.py and resnet.py; timm/models/efficientnet.py,
_efficientnet_blocks.py and resnet.py. A layout maps modules; a tensor's own name (weight, running_mean, ...) is the same
everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sapool import catalog

Modules = Mapping[str, str]
"""The name of a module in the library -> its name in sapool."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The names of one network in one library."""

    library: str
    backbone: str
    modules: Modules

    def translate(self, name: str) -> str | None:
        """The name in sapool of the tensor that the library calls `name`; None if it has none."""
        module, _, tensor = name.rpartition(".")
        return f"{self.modules[module]}.{tensor}" if module in self.modules else None

    def original(self, name: str) -> str:
        """The name in the library of the tensor that sapool calls `name`."""
        module, _, tensor = name.rpartition(".")
        return next((f"{theirs}.{tensor}" for theirs, ours in self.modules.items() if ours == module), name)

    def likeness(self, names: Iterable[str]) -> float:
        """How much of the layout and of `names` is the same, from 0 to 1."""
        found = {name.rpartition(".")[0] for name in names}
        return len(found & self.modules.keys()) / max(1, len(found | self.modules.keys()))


def nearest(names: Iterable[str]) -> Layout | None:
    """The layout that most of `names` are from; None if they are from none."""
    names = tuple(names)
    best = max(_all(), key=lambda layout: layout.likeness(names))
    return best if best.likeness(names) > 0 else None


def _all() -> Iterator[Layout]:
    for (library, backbone), modules in _LAYOUTS.items():
        yield Layout(library, backbone, modules(backbone))


def _places(backbone: str) -> Iterator[tuple[int, int]]:
    """Stage and block, both from 0, of every block of a network."""
    for stage, blocks in enumerate(catalog.BACKBONES[backbone].blocks):
        yield from ((stage, block) for block in range(blocks))


def _torchvision_mobilenet_v2(backbone: str) -> Modules:
    modules = {"features.0.0": "stem.0", "features.0.1": "stem.1"}
    for number, (stage, block) in enumerate(_places(backbone), start=1):
        parts = ("0.0", "0.1", "1", "2") if number == 1 else ("0.0", "0.1", "1.0", "1.1", "2", "3")
        modules |= {f"features.{number}.conv.{part}": f"stages.{stage}.blocks.{block}.layers.{part}" for part in parts}
    return {**modules, "features.18.0": "head.0", "features.18.1": "head.1", "classifier.1": "classifier"}


def _timm_mobilenet_v2(backbone: str) -> Modules:
    separable = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
    residual = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
    modules = {"conv_stem": "stem.0", "bn1": "stem.1"}
    for stage, block in _places(backbone):
        for theirs, ours in (residual if stage else separable).items():
            modules[f"blocks.{stage}.{block}.{theirs}"] = f"stages.{stage}.blocks.{block}.layers.{ours}"
    return {**modules, "conv_head": "head.0", "bn2": "head.1", "classifier": "classifier"}


def _resnet(backbone: str) -> Modules:
    """The same in torchvision and in timm."""
    bottleneck = backbone == "resnet50"
    modules = {"conv1": "stem.0", "bn1": "stem.1"}
    for stage, block in _places(backbone):
        parts = [f"{kind}{number}" for number in range(1, 4 if bottleneck else 3) for kind in ("conv", "bn")]
        if block == 0 and (stage or bottleneck):
            parts += ["downsample.0", "downsample.1"]
        modules |= {f"layer{stage + 1}.{block}.{part}": f"stages.{stage}.blocks.{block}.{part}" for part in parts}
    return {**modules, "fc": "classifier"}


_LAYOUTS: Final[Mapping[tuple[str, str], Callable[[str], Modules]]] = {
    ("torchvision", "mobilenet_v2"): _torchvision_mobilenet_v2,
    ("timm", "mobilenet_v2"): _timm_mobilenet_v2,
    ("torchvision or timm", "resnet18"): _resnet,
    ("torchvision or timm", "resnet50"): _resnet,
}
