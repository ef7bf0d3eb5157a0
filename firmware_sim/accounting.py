"""The memory account of one model under one profile: arena, layers, buffers, flash.

The dataclasses carry the names of the JSON schema `sapool.memreport/1`; every field named `bytes` or `..._bytes` counts
bytes. A figure is exact (what TFLM uses, to the byte) unless the `inexact` map beside it names it and says why; a figure
that cannot be known is None and is named there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Literal

from firmware_sim.digest import Digest
from firmware_sim.errors import ModelError
from firmware_sim.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from firmware_sim.model import Model
    from firmware_sim.profiles import Profile
    from firmware_sim.targets import Reserve, Target


class ModelInfo(Record):
    """What was measured. `operators` counts those of all subgraphs; `bytes` is the size of the file."""

    path: str
    digest: Digest
    bytes: int
    operators: int
    subgraphs: int

    @property
    def sha256(self) -> str:
        """SHA-256 of the file in hexadecimal digits."""
        return self.digest.hexadecimal


class ProfileInfo(Record):
    """Which build of TFLM the figures are for. `isa` is None where the kernels do not depend on it."""

    id: str
    pointer_bytes: int
    kernels: Literal["reference", "cmsis-nn"]
    isa: Literal["none", "dsp", "mve"] | None


class TailPart(Record):
    """A share of the tail: what it is for, and its bytes with the padding in front of it."""

    name: str
    bytes: int


class ArenaUse(Record):
    """Use of the tensor arena, in the words of TFLM's recording allocator.

    Attributes:
        total_bytes: `arena_used_bytes()` of the interpreter, head + tail.
        head_bytes: the non-persistent part, peak of the memory plan.
        tail_bytes: the persistent part; `tail` splits it.
        minimum_bytes: smallest arena with which AllocateTensors succeeds; more than `total_bytes` where planning needs
            more memory than the plan.
        lower_bound_bytes: no plan, by whatever planner, has a smaller head: the largest sum of sizes live at one time.
        planner: id of the planner whose plan this is.
        exact: total, head and tail are all exact.
        inexact: figure name to the reason why it is not exact, or why it is None.
        unmodelled: what the account leaves out, in words; empty if `exact`.
    """

    total_bytes: int
    head_bytes: int
    tail_bytes: int
    minimum_bytes: int | None
    lower_bound_bytes: int
    planner: str
    exact: bool
    inexact: Mapping[str, str] = {}
    unmodelled: tuple[str, ...] = ()
    tail: tuple[TailPart, ...] = ()

    @property
    def gap_bytes(self) -> int:
        """Head beyond the lower bound: what a better plan could save at most."""
        return self.head_bytes - self.lower_bound_bytes

    @property
    def needed_bytes(self) -> int:
        """The arena that TFLM needs to start or uses, whichever is more; what it uses, if the former is unknown."""
        return max(self.total_bytes, self.minimum_bytes or 0)


class LiveBuffer(Record):
    """A buffer that is alive while a layer runs.

    Attributes:
        tensor: its name in `MemoryReport.buffers`.
        role: what it is to the layer; "waiting" is what the layer does not touch but a later one needs.
        until: position in `MemoryReport.layers` of the last layer that needs it, None if that is no layer.
    """

    tensor: str
    bytes: int
    offset: int
    role: Literal["input", "output", "scratch", "waiting"] = "waiting"
    until: int | None = None


class LayerUse(Record):
    """One operator.

    Attributes:
        index: position in its subgraph.
        op: operator name; `name` is that of its first output.
        live_bytes: sum of all buffers alive while it runs, its scratch included.
        scratch_bytes: the part of `live_bytes` that only its kernel uses.
        persistent_bytes: what it adds to the tail: builtin data, kernel data, and what Prepare keeps.
        macs: multiply-accumulates of one run, 0 for operators that multiply no matrices; see `firmware_sim.costs`.
        weight_bytes: the constants that it reads, which stay in flash.
        time: when it first starts, on the scale of `BufferUse.first`; -1 if nothing calls its subgraph.
        peak: no layer has more `live_bytes`.
        live: the buffers, by offset.
        inexact: figure name to the reason why it is not exact.
    """

    index: int
    op: str
    name: str
    live_bytes: int
    scratch_bytes: int
    persistent_bytes: int
    macs: int
    weight_bytes: int
    time: int
    peak: bool
    live: tuple[LiveBuffer, ...]
    subgraph: int = 0
    inexact: Mapping[str, str] = {}


class BufferUse(Record):
    """One planned buffer of the head: `bytes` (a multiple of 16) at `offset`, from time `first` to `last`, both included.

    Time 0 is before the first operator, operator k of a model without control flow runs at k + 1; -1 stands for buffers
    that no operator touches.
    """

    name: str
    kind: Literal["tensor", "scratch"]
    bytes: int
    offset: int
    first: int
    last: int


class FlashUse(Record):
    """Read-only memory. `code_bytes` depends on the application's linker and is not known here."""

    model_bytes: int
    code_bytes: int | None = None
    inexact: Mapping[str, str] = {"code_bytes": "size of kernels and interpreter depends on compiler and linker"}


class RegionFit(Record):
    """One memory region of a target. `used_bytes` is what this model puts there, `reserved_bytes` what is kept free."""

    name: str
    kind: str
    size_bytes: int
    used_bytes: int
    fits: bool
    reserved_bytes: int = 0


class TargetFit(Record):
    """Whether the model fits a target, beside the reserves of RAM and flash that were assumed for the application.

    `margin_bytes` is what the arena's block has left, negative if it is too small.
    """

    id: str
    fits: bool
    regions: tuple[RegionFit, ...]
    margin_bytes: int
    ram_reserve_bytes: int = 0
    flash_reserve_bytes: int = 0


class MemoryReport(Record):
    """The whole account; see the classes of its parts."""

    model: ModelInfo
    profile: ProfileInfo
    arena: ArenaUse
    layers: tuple[LayerUse, ...]
    buffers: tuple[BufferUse, ...]
    flash: FlashUse
    target: TargetFit | None = None


def memreport(
    model: Model | str | Path | bytes,
    *,
    profile: str | Profile | None = None,
    target: str | Target | None = None,
    reserve: Reserve | None = None,
) -> MemoryReport:
    """Account for the memory of a model in TensorFlow Lite Micro.

    Args:
        model: the model, or what `firmware_sim.model.read` takes: the path of its file, or its contents.
        profile: which build of TFLM; by default that of the target, or "host64" without a target.
        target: a board (or its id) that the model is to fit.
        reserve: RAM and flash that the application needs beside the model; by default `targets.DEFAULT_RESERVE`.

    Raises:
        FileError: there is no such file, or it cannot be read.
        ModelError: it is no model, or TFLM is known to refuse it; every reason is listed (see `firmware_sim.preflight`).
        UsageError: there is no such profile or target.
    """
    from firmware_sim import preflight, profiles
    from firmware_sim.memory.account import account
    from firmware_sim.model import read

    if isinstance(model, str | bytes | PathLike):
        model = read(model)
    if isinstance(target, str):
        from firmware_sim import targets

        target = targets.get(target)
    if profile is None:
        profile = profiles.DEFAULT if target is None else target.profile
    if isinstance(profile, str):
        profile = profiles.get(profile)
    try:
        found = preflight.refusals(model, profile)
        refused = [refusal for refusal in found if refusal.certain]
        if refused:
            raise preflight.error(refused)
        doubts = tuple(f"TFLM may refuse this: {each}" for each in found)
        return account(model, profile, target, reserve, doubts=doubts)
    except ModelError as error:
        raise ModelError(error.message, where=error.where or model.path, hint=error.hint) from error
