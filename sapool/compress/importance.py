"""What each channel of a group is worth, by the measures of torch-pruning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
import torch_pruning as tp
from numpy.typing import NDArray

from sapool.compress.groups import Dependencies, Group
from sapool.data import DataSet
from sapool.data.preprocessing import to_input
from sapool.errors import UsageError

_MAKE: Final[Mapping[str, Callable[[], Any]]] = {
    "magnitude": lambda: tp.importance.GroupMagnitudeImportance(p=2),
    "bn": tp.importance.BNScaleImportance,
    "taylor": tp.importance.GroupTaylorImportance,
    "hessian": tp.importance.GroupHessianImportance,
}
NAMES: Final = tuple(_MAKE)
"""Norm of the weights; scale of the normalisation; |weight * gradient| (Molchanov et al., CVPR 2019); that with the squared
gradients of single images in place of the second derivative (LeCun et al., "Optimal Brain Damage", 1989)."""

_WITH_DATA: Final = ("taylor", "hessian")
_IMAGES: Final = 256
_BATCH: Final = 64
_SINGLE: Final = 64  # images whose gradients are taken one by one


def check(kind: str, has_data: bool) -> None:
    """
    Raises:
        UsageError: the measure needs gradients, and there is no data to take them from.
    """
    if kind in _WITH_DATA and not has_data:
        raise UsageError(f"importance by {kind} needs gradients", hint="give a data set with --data")


def scores(
    dependencies: Dependencies, groups: tuple[Group, ...], kind: str, dataset: DataSet | None
) -> dict[str, torch.Tensor]:
    """Importance of every channel [channels] of each group, by the group's name; the mean of a group is about 1.

    Args:
        dependencies: of the network.
        groups: its groups.
        kind: one of `NAMES`.
        dataset: whose training part gives the gradients, for those that need them.
    """
    check(kind, dataset is not None)
    measure = _MAKE[kind]()
    if kind in _WITH_DATA and dataset is not None:
        _gradients(dependencies, measure, kind, dataset)
    found = {}
    for group in groups:
        values = measure(dependencies.of(group))
        # A group without what is measured (no normalisation) has no weak channels.
        found[group.name] = torch.ones(group.channels) if values is None else values.detach().float().cpu()
    dependencies.network.zero_grad(set_to_none=True)
    return found


def _gradients(dependencies: Dependencies, measure: Any, kind: str, dataset: DataSet) -> None:
    network = dependencies.network
    network.zero_grad(set_to_none=True)
    images, labels = _sample(dataset)
    if kind == "taylor":
        for start in range(0, len(images), _BATCH):
            _loss(network, images[start : start + _BATCH], labels[start : start + _BATCH]).backward()  # type: ignore[no-untyped-call]
        return
    measure.zero_grad()
    for index in range(min(len(images), _SINGLE)):
        network.zero_grad()
        _loss(network, images[index : index + 1], labels[index : index + 1]).backward()  # type: ignore[no-untyped-call]
        measure.accumulate_grad(network)


def _sample(dataset: DataSet) -> tuple[NDArray[np.uint8], torch.Tensor]:
    """The same training images every time."""
    part = dataset.train
    chosen = np.sort(np.random.default_rng(0).permutation(len(part))[:_IMAGES])
    return part.images[chosen], torch.as_tensor(part.labels[chosen], dtype=torch.long)


def _loss(network: torch.nn.Module, images: NDArray[np.uint8], labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(network(torch.as_tensor(to_input(images))), labels)
