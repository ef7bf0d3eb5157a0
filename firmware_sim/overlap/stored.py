"""The plan that a file brings along, and which kernels it is safe with."""

from __future__ import annotations

import json
from typing import Final

from firmware_sim.memory.offline import RECORD, offline_plan
from firmware_sim.model import Model
from firmware_sim.overlap.replay import Damage, replay
from firmware_sim.overlap.rules import members

_SCHEMA: Final = "sapool.memory-plan/1"


def record(kernels: str, *, bands: str | None = None) -> bytes:
    """The metadata entry for a plan made for a kernel class; `bands` is the form of layers that are computed in bands."""
    entry = {"schema": _SCHEMA, "kernels": kernels, **({"bands": bands} if bands else {})}
    return json.dumps(entry, separators=(",", ":")).encode()


def recorded_kernels(model: Model) -> str | None:
    """The kernel class that the file says its plan was made for; None if it says nothing that can be understood."""
    return _recorded(model, "kernels")


def recorded_bands(model: Model) -> str | None:
    """The form in which the file says that it computes layers in bands; None if it says nothing of bands."""
    return _recorded(model, "bands")


def _recorded(model: Model, key: str) -> str | None:
    try:
        stored = json.loads(bytes(model.metadata.get(RECORD, b"null")))
    except ValueError:
        return None
    value = stored.get(key) if isinstance(stored, dict) and stored.get("schema") == _SCHEMA else None
    return value if isinstance(value, str) else None


def places(model: Model) -> dict[int, int]:
    """Tensors of the first subgraph that the file's plan places, with their offsets; empty without a plan.

    Raises:
        ModelError: the plan is damaged.
    """
    plan = offline_plan(model)
    found = {}
    for tensor in model.subgraphs[0].tensors:
        offset = plan.offset(tensor.index)
        if offset is not None and tensor.data is None and not tensor.is_variable and -1 not in tensor.shape:
            found[tensor.index] = offset
    return found


def damages(model: Model, kernels: str) -> tuple[Damage, ...]:
    """What the file's plan breaks with kernels of a class; empty without a plan."""
    subgraph = model.subgraphs[0]
    return replay(subgraph, subgraph.tensors, places(model), kernels)


def overlaps(model: Model) -> bool:
    """The file's plan lets tensors that are in use together share bytes, with whatever kernels."""
    subgraph = model.subgraphs[0]
    return bool(replay(subgraph, subgraph.tensors, places(model), None))


def safe_libraries(model: Model) -> tuple[str, ...]:
    """The kernel libraries that the file's plan is safe with, of those that are known."""
    return tuple(name for name in members("any") if not damages(model, name))
