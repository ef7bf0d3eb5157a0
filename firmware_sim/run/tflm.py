"""Runs a model in real TensorFlow Lite Micro, compiled for this machine: the judge of every memory figure.

The wheel `tflite-micro` uses TFLM's recording allocator, whose totals are the meaning of "total", "head" and "tail"
everywhere in this project (tensorflow/lite/micro/recording_micro_allocator.cc, PrintAllocations).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from firmware_sim.errors import ModelError, UsageError
from firmware_sim.run import capture
from firmware_sim.run.tensors import Array, TensorSpec, check
from firmware_sim.run.workers import Workers

# Pages of an arena that TFLM does not touch cost nothing, so the first try is generous.
_FIRST_ARENA_BYTES = 16 * 1024 * 1024
_LAST_ARENA_BYTES = 1024 * 1024 * 1024
# TFLM dereferences null when the arena cannot even hold the allocator itself (448 bytes): nothing near that is tried.
_LEAST_ARENA_BYTES = 1024
_TOO_SMALL = re.compile(r"Failed to (allocate|resize)|[Aa]rena size is too small|missing: \d+")
_HINT = "pip install 'sapool[tflm]'"
_FIGURE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")


@dataclass(frozen=True, slots=True)
class ArenaUse:
    """What TFLM's recording allocator prints after the model is loaded, in bytes."""

    total_bytes: int
    head_bytes: int
    tail_bytes: int


class Tflm:
    """A model loaded into TFLM.

    Args:
        model_bytes: content of a .tflite file that `firmware_sim.model.read` accepts. TFLM itself checks little and can
            end the process on a damaged file; `refused` finds out without that risk.
        arena_bytes: size of the arena; None finds one that is large enough.
        name: what to call the model in messages.

    Raises:
        UsageError: TFLM is not installed, or `arena_bytes` is too small.
        ModelError: the file cannot be read, or TFLM refuses the model; the message has its words.
    """

    def __init__(self, model_bytes: bytes, arena_bytes: int | None = None, *, name: str | None = None) -> None:
        runtime = _runtime()
        # Imported here because the reader is not needed where only the result types of this module are.
        from firmware_sim.model import read

        subgraph = read(bytes(model_bytes), name=name).subgraphs[0]
        self._name = name
        self._interpreter = _load(runtime, bytes(model_bytes), arena_bytes, name)
        self.inputs = tuple(_spec(self._interpreter.get_input_details(i)) for i in range(len(subgraph.inputs)))
        self.outputs = tuple(_spec(self._interpreter.get_output_details(i)) for i in range(len(subgraph.outputs)))
        with capture.descriptors() as log:
            self._interpreter.print_allocations()
        self.arena = parse_allocations(log.text)

    def invoke(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once. Arrays in the order, shape and type of `inputs`; returns copies of the outputs.

        Raises:
            UsageError: an array does not fit.
            ModelError: an operator fails; the message has TFLM's words.
        """
        check(arrays, self.inputs)
        _invoke(self._interpreter, arrays, self._name)
        return tuple(np.array(self._interpreter.get_output(index)) for index in range(len(self.outputs)))


def run_keeping(model_bytes: bytes, wanted: Sequence[int], *arrays: Array) -> list[Array]:
    """Run a model once so that no tensor gives way to another (TFLM's kPreserveAllTensors).

    Args:
        model_bytes: content of a .tflite file.
        wanted: tensors of its first subgraph, by their indices.
        arrays: its inputs.

    Returns:
        What these tensors hold after the run.

    Raises:
        UsageError: TFLM is not installed.
        ModelError: TFLM refuses the model, or an operator fails.
    """
    runtime = _runtime()
    interpreter = _load(runtime, bytes(model_bytes), None, None, keep_tensors=True)
    _invoke(interpreter, arrays, None)
    return [np.array(interpreter.GetTensor(index, 0)["tensor_data"]) for index in wanted]


def refused(model_bytes: bytes, *, timeout_s: float = 60.0) -> str | None:
    """Load and run a model once in a process of its own, inputs all zero.

    Returns:
        None if TFLM takes the model, else why not: its own words, or how the process ended.

    Raises:
        UsageError: TFLM is not installed.
    """
    check_installed()
    with Workers(1, timeout_s=timeout_s) as workers:
        try:
            return workers.submit(_probe, bytes(model_bytes)).result()
        except ModelError as error:
            return error.message


def is_installed() -> bool:
    """Whether there is TFLM to run, without loading it."""
    return find_spec("tflite_micro") is not None


def check_installed() -> None:
    """Refuse to go on without TFLM.

    Raises:
        UsageError: it is not installed.
    """
    if not is_installed():
        raise UsageError("TFLM is not installed", hint=_HINT)


def parse_allocations(text: str) -> ArenaUse:
    """The three totals in the print of TFLM's recording allocator.

    Raises:
        ModelError: one is missing.
    """
    figures = {name: int(number) for name, number in _FIGURE.findall(text)}
    if figures.keys() != {"total", "head", "tail"}:
        raise ModelError(f"TFLM printed no arena allocations: {text.strip()!r}")
    return ArenaUse(figures["total"], figures["head"], figures["tail"])


def _invoke(interpreter: Any, arrays: Sequence[Array], name: str | None) -> None:
    try:
        with capture.descriptors() as log:
            for index, array in enumerate(arrays):
                interpreter.set_input(np.ascontiguousarray(array), index)
            interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"TFLM cannot run the model: {capture.words(log.text, error)}", where=name) from error


def _load(
    runtime: Any, model_bytes: bytes, arena_bytes: int | None, name: str | None, *, keep_tensors: bool = False
) -> Any:
    if arena_bytes is not None and arena_bytes < _LEAST_ARENA_BYTES:
        raise UsageError(f"an arena of {arena_bytes} bytes is too small for any model", where=name)
    size = arena_bytes or _FIRST_ARENA_BYTES
    kinds = runtime.InterpreterConfig
    kind = kinds.kPreserveAllTensors if keep_tensors else kinds.kAllocationRecording
    while True:
        try:
            with capture.descriptors() as log:
                return runtime.Interpreter.from_bytes(model_bytes, arena_size=size, intrepreter_config=kind)
        except (RuntimeError, ValueError, MemoryError) as error:
            words = capture.words(log.text, error)
            if not _TOO_SMALL.search(log.text):
                raise ModelError(f"TFLM refuses the model: {words}", where=name) from error
            if arena_bytes is not None:
                raise UsageError(f"an arena of {arena_bytes} bytes is too small: {words}", where=name) from error
            if size >= _LAST_ARENA_BYTES:
                raise ModelError(f"no arena up to {size} bytes is enough: {words}", where=name) from error
        size *= 4


def _probe(model_bytes: bytes) -> None:
    """What `refused` runs in the other process."""
    model = Tflm(model_bytes)
    model.invoke(*(spec.zeros() for spec in model.inputs))


def _runtime() -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise UsageError("TFLM is not installed", hint=_HINT) from error
    return runtime


def _spec(detail: dict[str, Any]) -> TensorSpec:
    return TensorSpec(tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]))
