"""The plan that a file brings along, and which kernels it is safe with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from firmware_sim.errors import ModelError
from firmware_sim.memory.offline import RECORD, offline_plan
from firmware_sim.model import Model
from firmware_sim.overlap.calls import replay_calls
from firmware_sim.overlap.replay import NOT_FOLLOWED, Damage, replay
from firmware_sim.overlap.rules import members
from firmware_sim.overlap.storage import Storage
from firmware_sim.overlap.unroll import Unrolled

_SCHEMA: Final = "sapool.memory-plan/1"


def record(kernels: str, *, bands: str | None = None, storages: Sequence[Storage] = ()) -> bytes:
    """The metadata entry for a plan made for a kernel class.

    Args:
        kernels: the class.
        bands: the form of layers that are computed in bands, if any are.
        storages: tensors that share memory though no operator says so, by running numbers over all subgraphs.
    """
    entry: dict[str, object] = {"schema": _SCHEMA, "kernels": kernels}
    if bands:
        entry["bands"] = bands
    if storages:
        entry["storages"] = [[number for pair in storage.items() for number in pair] for storage in storages]
    return json.dumps(entry, separators=(",", ":")).encode()


def recorded_kernels(model: Model) -> str | None:
    """The kernel class that the file says its plan was made for; None if it says nothing that can be understood."""
    return _word(model, "kernels")


def recorded_bands(model: Model) -> str | None:
    """The form in which the file says that it computes layers in bands; None if it says nothing of bands."""
    return _word(model, "bands")


def recorded_storages(model: Model) -> tuple[Storage, ...]:
    """What `record` was given, by running numbers over all subgraphs.

    Tensors that the file does not have are left out, so that a replay finds them unwritten.
    """
    found = _recorded(model).get("storages")
    count = sum(len(subgraph.tensors) for subgraph in model.subgraphs)
    storages = []
    for numbers in found if isinstance(found, list) else ():
        whole = [number for number in numbers if isinstance(number, int)] if isinstance(numbers, list) else []
        pairs = zip(whole[::2], whole[1::2], strict=False)
        storages.append({index: offset for index, offset in pairs if 0 <= index < count and offset >= 0})
    return tuple(storage for storage in storages if storage)


def _word(model: Model, key: str) -> str | None:
    value = _recorded(model).get(key)
    return value if isinstance(value, str) else None


def _recorded(model: Model) -> dict[str, Any]:
    try:
        stored = json.loads(bytes(model.metadata.get(RECORD, b"null")))
    except ValueError:
        return {}
    return stored if isinstance(stored, dict) and stored.get("schema") == _SCHEMA else {}


def places(model: Model) -> dict[int, int]:
    """Tensors of the first subgraph that the file's plan places, with their offsets; empty without a plan.

    Raises:
        ModelError: the plan is damaged.
    """
    return all_places(model)[0]


def all_places(model: Model) -> tuple[dict[int, int], ...]:
    """The same for every subgraph.

    Raises:
        ModelError: the plan is damaged.
    """
    plan = offline_plan(model)
    found: list[dict[int, int]] = []
    numbers = count()
    for subgraph in model.subgraphs:
        found.append({})
        for tensor in subgraph.tensors:
            offset = plan.offset(next(numbers))
            if offset is not None and tensor.data is None and not tensor.is_variable and -1 not in tensor.shape:
                found[-1][tensor.index] = offset
    return tuple(found)


def damages(model: Model, kernels: str) -> tuple[Damage, ...]:
    """What the file's plan breaks with kernels of a class; without a plan, what a file breaks that needs one."""
    return _replayed(model, kernels)


def overlaps(model: Model) -> bool:
    """The file's plan lets tensors that are in use together share bytes, with whatever kernels."""
    return bool(_replayed(model, None))


def safe_libraries(model: Model) -> tuple[str, ...]:
    """The kernel libraries that the file's plan is safe with, of those that are known."""
    return tuple(name for name in members("any") if not damages(model, name))


def _replayed(model: Model, kernels: str | None) -> tuple[Damage, ...]:
    subgraph, storages = model.subgraphs[0], recorded_storages(model)
    if len(model.subgraphs) == 1:
        return replay(subgraph, subgraph.tensors, places(model), kernels, storages)
    if not storages:
        return replay_calls(model, all_places(model), kernels)
    try:
        turns = Unrolled(model, offline_plan(model), storages)
    except ModelError:
        return (NOT_FOLLOWED,)
    return replay(turns.subgraph, turns.tensors, turns.places, kernels, turns.storages)
