"""Checkpoints: one .safetensors file, the weights with the specification in the header. Reading one runs no code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sapool
from firmware_sim.files import read_bytes, write_atomic
from sapool.errors import FileError, SapoolError, UsageError
from sapool.spec import ModelSpec, parse

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT: Final = "sapool.checkpoint"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A trained network.

    Args:
        model: the network, in evaluation mode.
        spec: what it was built from.
        labels: names of the classes, in the order of the outputs.
        header: everything else that was saved: hyperparameters, metrics, the version that wrote it.
    """

    model: nn.Module
    spec: ModelSpec
    labels: tuple[str, ...]
    header: Mapping[str, Any]


def save(
    path: str | Path,
    model: nn.Module,
    spec: ModelSpec,
    *,
    labels: Sequence[str],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        path: where to; by convention it ends in .safetensors.
        model: a network built from `spec`.
        spec: its specification.
        labels: one name per class.
        extra: further entries of the header, JSON values.

    Raises:
        UsageError: the number of labels is not that of the classes, the extra is not JSON, or the place cannot be written.
    """
    from safetensors.torch import save as to_bytes

    if len(labels) != spec.classes:
        raise UsageError(f"{len(labels)} labels for {spec.classes} classes", where=path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"format": f"{FORMAT}/{VERSION}", "spec": str(spec), "sapool": sapool.__version__}
    try:
        metadata["labels"] = json.dumps(list(labels), ensure_ascii=False)
        metadata["extra"] = json.dumps(dict(extra or {}), ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the header must be JSON: {error}", where=path) from error
    return write_atomic(path, to_bytes(tensors, metadata))


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint and build its network.

    Raises:
        FileError: the file is missing, damaged, no checkpoint of sapool, of a newer format, or its tensors are not those of
            its specification (the first ones that are missing or too many are named).
    """
    import safetensors
    import torch
    from safetensors.torch import load as from_bytes

    from sapool.models import build

    content = read_bytes(path)
    try:
        tensors = from_bytes(content)
        metadata = _metadata(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise FileError(f"not a readable .safetensors file ({error})", where=path) from error
    spec, labels, header = _header(path, metadata)
    # Without memory: a header may ask for any network, but no more weights are held than the file has.
    try:
        with torch.device("meta"):
            model = build(spec)
    except SapoolError as error:
        raise FileError(f"the checkpoint's network cannot be built ({error.message})", where=path) from error
    expected = {name: _kind(tensor) for name, tensor in model.state_dict().items()}
    found = {name: _kind(tensor) for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise FileError(
            f"{len(wrong)} tensors do not fit the specification {spec}: first {name}, "
            f"{found.get(name, 'absent')} in the file, {expected.get(name, 'absent')} in the network",
            where=path,
        )
    model.load_state_dict(tensors, assign=True)
    return Checkpoint(model.eval(), spec, labels, header)


def _kind(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _metadata(content: bytes) -> dict[str, str]:
    """The header's free part; the library only gives it out for files that it opens itself."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    metadata = header.get("__metadata__", {})
    return {str(name): str(value) for name, value in metadata.items()}


def _header(path: str | Path, metadata: Mapping[str, str]) -> tuple[ModelSpec, tuple[str, ...], dict[str, Any]]:
    name, _, version = metadata.get("format", "").partition("/")
    if name != FORMAT or not version.isdigit():
        raise FileError(
            "a .safetensors file, but not a checkpoint of sapool", where=path, hint="train one with `sapool train`"
        )
    if int(version) > VERSION:
        raise FileError(
            f"format {version} of a newer sapool ({metadata.get('sapool', 'unknown')}); this one reads {VERSION}",
            where=path,
            hint="upgrade sapool",
        )
    try:
        spec = parse(metadata["spec"])
        labels = tuple(str(label) for label in json.loads(metadata["labels"]))
        extra = dict(json.loads(metadata.get("extra", "{}")))
    except (KeyError, ValueError, TypeError, SapoolError) as error:
        raise FileError(f"the checkpoint's header is damaged ({error})", where=path) from error
    if len(labels) != spec.classes:
        raise FileError(f"{len(labels)} labels for {spec.classes} classes", where=path)
    return spec, labels, {**extra, "sapool": metadata.get("sapool", "")}
