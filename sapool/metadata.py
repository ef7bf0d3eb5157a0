"""What an exported .tflite says of itself: one metadata entry of JSON, which TFLM and LiteRT ignore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import sapool
from sapool.data import preprocessing

if TYPE_CHECKING:
    from firmware_sim.model import Model
    from sapool.checkpoint import Checkpoint

NAME: Final = "sapool.model/1"
"""Name of the entry; the number is the version of what it holds."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a file holds beside the network: it counts in its size, and nowhere else.

    Attributes:
        description: text for people.
        metadata: entries by name.
    """

    description: str = ""
    metadata: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Notes:
        """What the file of a checkpoint holds."""
        return cls(f"sapool {sapool.__version__}: {checkpoint.spec}", {NAME: encode(checkpoint)})


def encode(checkpoint: Checkpoint) -> bytes:
    """Specification, labels, the seed of the data's split, and what the input means. No time stamp: equal exports stay
    equal files."""
    content: dict[str, Any] = {
        "version": sapool.__version__,
        "spec": str(checkpoint.spec),
        "labels": list(checkpoint.labels),
        "split_seed": checkpoint.header.get("split_seed"),
        "input": {
            "scale": preprocessing.INPUT_SCALE,
            "zero_point": preprocessing.INPUT_ZERO_POINT,
            "meaning": preprocessing.DESCRIPTION,
        },
    }
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8")


def decode(model: Model) -> dict[str, Any]:
    """What `encode` wrote into a file; empty for files of others, for anyone can write metadata."""
    try:
        notes = json.loads(bytes(model.metadata.get(NAME, b"{}")).decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}
