"""Weights of torchvision, of timm and of sapool's own checkpoints, into networks with other pools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from sapool import checkpoint, models
from sapool.catalog import known
from sapool.errors import FileError, UsageError
from sapool.models.network import Network
from sapool.spec import ModelSpec
from sapool.weights import files, inputs, layouts

CLASSIFIER: Final = ("load", "new")
INPUTS: Final = ("pixels", "normalised")
_CLASSIFIER: Final = "classifier."
_COUNTER: Final = "num_batches_tracked"
"""A counter of the batches of a training, which files of old versions of torch lack and nothing here uses."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedWeights:
    """A network with weights from a file.

    Attributes:
        model: the network.
        source: whose names the file has, and of which network.
        loaded: names of the tensors that came from the file, as sapool calls them.
        new: names of those that keep their start: pools, attention modules, a new classifier.
        dropped: names of those in the file that the network has no place for: blocks that it has replaced, a classifier
            that is not wanted.
    """

    model: nn.Module
    source: str
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A file: its tensors by the name that sapool gives them, the network that they are from, and what it calls them."""

    name: str
    spec: ModelSpec
    tensors: Mapping[str, torch.Tensor]
    layout: layouts.Layout | None

    def original(self, name: str) -> str:
        return name if self.layout is None else self.layout.original(name)


def load_weights(
    network: nn.Module | ModelSpec, path: str | Path, *, classifier: str = "load", inputs: str = "pixels"
) -> LoadedWeights:
    """Load what a file has for a network, and say what is new.

    The file must be complete for the stock network of the same backbone, width and channels, and hold nothing else; pools,
    attention modules and strides may differ. Nothing is changed if anything is wrong.

    Args:
        network: a network of `sapool.build`, which is changed, or the specification of one to build.
        path: a state dict of torchvision or timm (.pth, .pt, .safetensors), or a checkpoint of sapool. Code in it is not
            run.
        classifier: "load" needs the same number of classes; "new" leaves the classifier as it is.
        inputs: what the network is to be fed with: "pixels", as everywhere in sapool (pixel / 128 - 1), for which the stem
            is changed, see `sapool.weights.inputs`; or "normalised", as the file's library does. For a checkpoint of sapool
            both are the same.

    Raises:
        UsageError: the file is of another backbone, or of another number of classes and the classifier is wanted.
        FileError: the file cannot be read, or a tensor is missing, unexpected or of the wrong shape (it is named).
    """
    known("choice for the classifier", classifier, CLASSIFIER)
    known("kind of input", inputs, INPUTS)
    net = models.build(network) if isinstance(network, ModelSpec) else network
    if not isinstance(net, Network):
        raise UsageError(f"{type(net).__name__} was not built by sapool", hint="give a network of sapool.build")
    source = _read(path, net.spec)
    own = net.state_dict()
    _check(path, source, own, classifier)
    loaded = {
        name: tensor
        for name, tensor in source.tensors.items()
        if name in own and not (classifier == "new" and name.startswith(_CLASSIFIER))
    }
    if inputs == "pixels" and source.layout is not None:
        loaded.update(_refed(loaded))
    net.load_state_dict(loaded, strict=False)
    return LoadedWeights(
        net,
        source.name,
        tuple(loaded),
        tuple(name for name in own if name not in loaded and not name.endswith(_COUNTER)),
        tuple(name for name in source.tensors if name not in loaded),
    )


def _refed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    weight, mean = "stem.0.weight", "stem.1.running_mean"
    return dict(zip((weight, mean), inputs.fold(tensors[weight].float(), tensors[mean].float()), strict=True))


def _read(path: str | Path, wanted: ModelSpec) -> _Source:
    tensors = files.read(path)
    if any(name.startswith("stages.") for name in tensors):
        saved = checkpoint.load(path)
        source = _Source(f"sapool's {saved.spec}", saved.spec, saved.model.state_dict(), None)
    else:
        layout = layouts.nearest(tensors)
        if layout is None:
            raise FileError(
                f"names such as {next(iter(tensors))!r} belong to no network that is known",
                where=path,
                hint="state dicts of torchvision and timm for mobilenet_v2, resnet18 and resnet50 can be loaded",
            )
        source = _foreign(path, layout, tensors, wanted)
    if source.spec.backbone != wanted.backbone:
        raise UsageError(f"holds {source.name}, the network is a {wanted.backbone}", where=path)
    return source


def _foreign(
    path: str | Path, layout: layouts.Layout, tensors: Mapping[str, torch.Tensor], wanted: ModelSpec
) -> _Source:
    names = {name: layout.translate(name) for name in tensors}
    unexpected = [name for name, ours in names.items() if ours is None]
    if unexpected:
        raise FileError(
            _of(unexpected, f"unexpected in {layout.backbone} of {layout.library}: {unexpected[0]}"), where=path
        )
    translated = {str(ours): tensors[name] for name, ours in names.items()}
    bias = translated.get("classifier.bias")
    spec = ModelSpec(
        layout.backbone,
        width=wanted.width,
        channels=wanted.channels,
        classes=wanted.classes if bias is None or bias.ndim != 1 or not bias.numel() else len(bias),
    )
    return _Source(f"{layout.backbone} of {layout.library}", spec, translated, layout)


def _check(path: str | Path, source: _Source, own: Mapping[str, torch.Tensor], classifier: str) -> None:
    """Everything that can be wrong, before anything is changed."""
    with torch.device("meta"):
        stock = models.build(source.spec).state_dict()
    unexpected = [name for name in source.tensors if name not in stock]
    if unexpected:
        raise FileError(_of(unexpected, f"unexpected: {source.original(unexpected[0])}"), where=path)
    skipped = _CLASSIFIER if classifier == "new" else "\0"
    missing = [
        name
        for name in stock
        if name not in source.tensors and not name.endswith(_COUNTER) and not name.startswith(skipped)
    ]
    if missing:
        raise FileError(_of(missing, f"missing: {source.original(missing[0])}"), where=path)
    if classifier == "load" and (theirs := source.spec.classes) != (ours := len(own["classifier.bias"])):
        raise UsageError(
            f"the file has {theirs} classes, the network {ours}",
            where=path,
            hint='start the classifier afresh: --new-classifier, or classifier="new"',
        )
    expected = {**stock, **{name: tensor for name, tensor in own.items() if not name.startswith(skipped)}}
    for name, tensor in source.tensors.items():
        if tensor.shape != expected[name].shape or tensor.is_floating_point() != expected[name].is_floating_point():
            raise FileError(
                f"{source.original(name)} is {_kind(tensor)}, the network takes {_kind(expected[name])}", where=path
            )


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _of(names: list[str], message: str) -> str:
    return f"{message} (the first of {len(names)})" if len(names) > 1 else message
