"""Which channels of a network can only leave together, from the dependency graph of torch-pruning."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
import torch_pruning as tp
from torch import nn

from sapool import catalog
from sapool.compress import layers
from sapool.errors import InternalError
from sapool.models.network import Network

_BLOCK: Final = r"stages\.(\d+)\.blocks\.(\d+)\."
# Which width of `sapool.pruned` the outputs of a convolution are: pattern of what follows the block, and kind of width.
_NAMES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "mobilenet_v1": ((r"1\.0", "b"),),
    "mobilenet_v2": ((r"layers\.0\.0", "b"), (r"layers\.\d+", "s")),
    "resnet18": (("conv1", "b"), (r"conv2|downsample\.0", "s")),
    "resnet50": (("conv1", "b"), ("conv2", "bx"), (r"conv3|downsample\.0", "s")),
}
_OUTSIDE: Final = {"stem.0": "stem", "head.0": "last"}


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Channels of several maps that leave together.

    Attributes:
        names: the widths that they are, as `sapool.pruned` calls them.
        channels: how many there are.
        divisor: by how many at a time they leave, as many from each of so many equal blocks.
        layer: a convolution whose outputs they are.
    """

    names: tuple[str, ...]
    channels: int
    divisor: int
    layer: nn.Conv2d

    @property
    def name(self) -> str:
        """What to call it in a report."""
        return "+".join(self.names)

    def weakest(self, scores: torch.Tensor, count: int) -> list[int]:
        """The `count` channels with the lowest scores [channels]; as many from each block."""
        size, share = self.channels // self.divisor, count // self.divisor
        blocks = [scores[start : start + size] for start in range(0, self.channels, size)]
        order = [block.argsort(stable=True)[:share] + number * size for number, block in enumerate(blocks)]
        return sorted(int(channel) for part in order for channel in part)


@contextmanager
def _plain(own: Sequence[nn.Module]) -> Iterator[None]:
    """Let layers of sapool look like average pools: all that the graph is to see is that channels stay what they are.

    Its own reading of reshapes and products would take the channels apart, as in ULSAM, whose groups it loses.
    """
    for layer in own:
        layer.forward = partial(F.avg_pool2d, kernel_size=getattr(layer, "stride", 1))
    try:
        yield
    finally:
        for layer in own:
            del layer.forward


class Dependencies:
    """The groups of one network, which shrinks as channels leave."""

    def __init__(self, network: Network) -> None:
        """
        Raises:
            UsageError: the network has a layer that pruning does not know.
        """
        self.network = network.eval()
        spec = network.spec
        own = layers.own_layers(network)
        pruners = {type(layer): known for layer in own if (known := layers.pruner(layer)) is not None}
        for parameter in network.parameters():
            parameter.requires_grad_(True)  # the graph is read from the gradient's
        example = torch.zeros(1, spec.channels, spec.resolution, spec.resolution)
        with torch.enable_grad(), _plain(own):
            self.graph: Any = tp.DependencyGraph().build_dependency(network, example, customized_pruners=pruners)
        self._paths = {module: path for path, module in network.named_modules()}

    def groups(self) -> tuple[Group, ...]:
        """Every group, from the input to the output."""
        found = []
        for group in self.graph.get_all_groups(ignored_layers=[self.network.classifier], root_module_types=[nn.Conv2d]):
            convolutions = [
                item.dep.target.module
                for item in group
                if isinstance(item.dep.target.module, nn.Conv2d)
                and self.graph.is_out_channel_pruning_fn(item.dep.handler)
            ]
            members = {item.dep.target.module for item in group if isinstance(item.dep.target.module, nn.Module)}
            names = {name for layer in convolutions if (name := self._name(layer)) is not None}
            if names:
                step = math.lcm(*(layers.divisor(module) for module in members))
                root = next(layer for layer in convolutions if self._name(layer) is not None)
                found.append(Group(self._ordered(names), root.out_channels, step, root))
        return tuple(sorted(found, key=lambda group: self._position(group.names[0])))

    def of(self, group: Group, channels: Sequence[int] | None = None) -> Any:
        """The group of torch-pruning, for all of its channels or some."""
        wanted = range(group.layer.out_channels) if channels is None else channels
        return self.graph.get_pruning_group(group.layer, tp.prune_conv_out_channels, idxs=list(wanted))

    def remove(self, group: Group, channels: Sequence[int]) -> None:
        """Take channels out of every layer of a group.

        Raises:
            InternalError: that would empty the layers.
        """
        found = self.of(group, channels)
        if not self.graph.check_pruning_group(found):
            raise InternalError(f"{len(channels)} of {group.channels} channels of {group.name} cannot leave")
        found.prune()

    def _name(self, layer: nn.Conv2d) -> str | None:
        path = self._paths[layer]
        if path in _OUTSIDE:
            return _OUTSIDE[path]
        match = re.match(_BLOCK, path)
        if match is None or layer.groups > 1:
            return None
        backbone = self.network.spec.backbone
        kind = next((kind for pattern, kind in _NAMES[backbone] if re.fullmatch(pattern, path[match.end() :])), None)
        if kind is None:
            return None
        stage = int(match[1])
        block = sum(catalog.BACKBONES[backbone].blocks[:stage]) + int(match[2]) + 1
        return f"s{stage + 1}" if kind == "s" else f"b{block}{kind[1:]}"

    def _ordered(self, names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self._position))

    def _position(self, name: str) -> int:
        from sapool import pruned

        return pruned.names(self.network.spec.backbone).index(name)
