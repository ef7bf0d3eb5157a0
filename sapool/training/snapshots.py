"""Snapshots of a training, from which an interrupted one goes on: written at the end of each epoch, whole or not at all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from firmware_sim.errors import FileError, UsageError
from firmware_sim.files import write_atomic

_IDENTITY: Final = "sapool"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on disk.

    Args:
        path: the file.
        identity: what the training is that it belongs to, a line for each thing that decides the weights.
        epochs: that were complete when it was taken.
    """

    path: Path
    identity: Mapping[str, str]
    epochs: int

    def check(self, identity: Mapping[str, str]) -> None:
        """Refuse to go on with another training.

        Raises:
            UsageError: something that decides the weights differs; it is named.
        """
        for name in sorted(self.identity.keys() | identity.keys()):
            before, now = self.identity.get(name, "nothing"), identity.get(name, "nothing")
            if before != now:
                raise UsageError(
                    f"the interrupted training had {name} {before}, this one has {now}",
                    where=self.path,
                    hint="repeat its command with --resume, or start afresh without --resume",
                )


def read(path: Path) -> Snapshot | None:
    """The snapshot at `path`, None if there is none. No code in it is run.

    Raises:
        FileError: the file is damaged, or no snapshot.
    """
    if not path.exists():
        return None
    content = _load(path)
    try:
        identity = {str(name): str(value) for name, value in content[_IDENTITY].items()}
        return Snapshot(path, identity, int(content["epoch"]) + 1)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, error) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch.load fails on damaged files with whatever its parsers trip over.
        raise _damaged(path, error) from error
    return content


def _damaged(path: Path, error: Exception) -> FileError:
    lines = str(error).splitlines() or [type(error).__name__]
    return FileError(f"not a snapshot of a training ({lines[0]})", where=path, hint="start afresh without --resume")


class AtomicFiles(TorchCheckpointIO):
    """How Lightning reads and writes snapshots here: through a neighbour that is renamed, and without running code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        stream = io.BytesIO()
        torch.save(checkpoint, stream)
        write_atomic(path, stream.getvalue())

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return _load(Path(path))


class Snapshots(Checkpoint):
    """Takes a snapshot at the end of each epoch. Lightning calls it after all other callbacks.

    Args:
        path: the file, replaced each time.
        identity: see `Snapshot`.
    """

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path = path
        self._identity = dict(identity)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove what a kill in the middle of writing has left."""
        if trainer.is_global_zero:
            for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
                with contextlib.suppress(OSError):
                    leftover.unlink()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_IDENTITY] = self._identity

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path)
