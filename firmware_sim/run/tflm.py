"""Runs a model in real TensorFlow Lite Micro, compiled for this machine: the judge of every memory figure.

The wheel `tflite-micro` uses TFLM's recording allocator, whose totals are the meaning of "total", "head" and "tail"
everywhere in this project (tensorflow/lite/micro/recording_micro_allocator.cc, PrintAllocations).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import firmware_sim
from firmware_sim.errors import ModelError, SapoolError, UsageError
from firmware_sim.run import capture
from firmware_sim.run.tensors import Array, TensorSpec, check

# Pages of an arena that TFLM does not touch cost nothing, so the first try is generous.
_FIRST_ARENA_BYTES = 16 * 1024 * 1024
_LAST_ARENA_BYTES = 1024 * 1024 * 1024
# TFLM dereferences null when the arena cannot even hold the allocator itself (448 bytes): nothing near that is tried.
_LEAST_ARENA_BYTES = 1024
_TOO_SMALL = re.compile(r"Failed to (allocate|resize)|[Aa]rena size is too small|missing: \d+")
_FIGURE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_PROBE = "import sys; from firmware_sim.run.tflm import _probe; _probe(sys.stdin.buffer.read())"


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
        try:
            with capture.descriptors() as log:
                for index, array in enumerate(arrays):
                    self._interpreter.set_input(np.ascontiguousarray(array), index)
                self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"TFLM cannot run the model: {capture.words(log.text, error)}", where=self._name
            ) from error
        return tuple(np.array(self._interpreter.get_output(index)) for index in range(len(self.outputs)))


def refused(model_bytes: bytes, *, timeout_s: float = 60.0) -> str | None:
    """Load and run a model once in a process of its own, inputs all zero.

    Returns:
        None if TFLM takes the model, else why not: its own words, or how the process ended.

    Raises:
        UsageError: TFLM is not installed.
    """
    return apart(_PROBE, bytes(model_bytes), timeout_s=timeout_s)[1]


def apart(code: str, content: bytes, *, timeout_s: float) -> tuple[bytes, str | None]:
    """Run Python code in a process of its own, which TFLM may end.

    Args:
        code: what to run; it can import this package, and gets `content` on its standard input.
        content: bytes for it.
        timeout_s: how long it may take.

    Returns:
        What it printed, and None if it ended well, else why not.

    Raises:
        UsageError: TFLM is not installed.
    """
    _runtime()
    root = str(Path(firmware_sim.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=content,
            capture_output=True,
            timeout=timeout_s,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return b"", f"no answer within {timeout_s:g} s"
    if done.returncode == 0:
        return done.stdout, None
    words = done.stderr.decode("utf-8", errors="replace").strip()
    if done.returncode < 0:
        words = "; ".join(filter(None, [f"TFLM ended the process with signal {-done.returncode}", words]))
    return done.stdout, words


def parse_allocations(text: str) -> ArenaUse:
    """The three totals in the print of TFLM's recording allocator.

    Raises:
        ModelError: one is missing.
    """
    figures = {name: int(number) for name, number in _FIGURE.findall(text)}
    if figures.keys() != {"total", "head", "tail"}:
        raise ModelError(f"TFLM printed no arena allocations: {text.strip()!r}")
    return ArenaUse(figures["total"], figures["head"], figures["tail"])


def _load(runtime: Any, model_bytes: bytes, arena_bytes: int | None, name: str | None) -> Any:
    if arena_bytes is not None and arena_bytes < _LEAST_ARENA_BYTES:
        raise UsageError(f"an arena of {arena_bytes} bytes is too small for any model", where=name)
    size = arena_bytes or _FIRST_ARENA_BYTES
    while True:
        try:
            with capture.descriptors() as log:
                return runtime.Interpreter.from_bytes(model_bytes, arena_size=size)
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
    try:
        model = Tflm(model_bytes)
        model.invoke(*(spec.zeros() for spec in model.inputs))
    except SapoolError as error:
        sys.exit(error.message)


def _runtime() -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise UsageError("TFLM is not installed", hint="pip install 'sapool[tflm]'") from error
    return runtime


def _spec(detail: dict[str, Any]) -> TensorSpec:
    return TensorSpec(tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]))
