"""Backbones by name. A backbone is a class built from a specification; `sapool.catalog` says where it lives."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from sapool import catalog
from sapool.models.network import Network
from sapool.models.parts import NetworkParts
from sapool.spec import ModelSpec

Backbone = TypeVar("Backbone", bound=type[Network])
_BACKBONES: dict[str, type[Network]] = {}


def register(name: str) -> Callable[[Backbone], Backbone]:
    """Register the decorated class, whose constructor takes a `ModelSpec`, under a name of `sapool.catalog.BACKBONES`.

    Raises:
        ValueError: the catalogue says that this name belongs to another module, or another class has it.
    """

    def keep(network: Backbone) -> Backbone:
        entry = catalog.BACKBONES.get(name)
        if name in _BACKBONES or entry is None or entry.module != network.__module__:
            owner = f"is registered already, by {entry.module}" if entry else "has no entry in sapool.catalog.BACKBONES"
            raise ValueError(f"the backbone {name!r} {owner}")
        _BACKBONES[name] = network
        return network

    return keep


def available() -> tuple[str, ...]:
    """Names of all backbones, sorted."""
    return tuple(sorted(catalog.BACKBONES))


def build(spec: ModelSpec) -> nn.Module:
    """The network of a specification, freshly initialised: [B, channels, resolution, resolution] -> [B, classes].

    Raises:
        UsageError: the pooling method refuses its settings at one of the stages (which one is said).
    """
    return _backbone(spec.backbone)(spec)


def parts(spec: ModelSpec) -> NetworkParts:
    """What the network of a specification is made of, before any of it is built."""
    return _backbone(spec.backbone).parts(spec)


def _backbone(name: str) -> type[Network]:
    if name not in _BACKBONES:
        importlib.import_module(catalog.BACKBONES[name].module)
    return _BACKBONES[name]
