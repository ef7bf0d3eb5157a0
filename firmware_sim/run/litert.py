"""Runs a model in LiteRT with its reference kernels: the output bytes that TFLM has to match."""

from __future__ import annotations

from typing import Any

import numpy as np

from firmware_sim.errors import ModelError, UsageError
from firmware_sim.run import capture
from firmware_sim.run.tensors import Array, TensorSpec, check


class LiteRt:
    """A model loaded into LiteRT, one thread, BUILTIN_REF kernels.

    Only the reference kernels round as TFLM's do: with the XNNPACK delegate, or with the optimised kernels, half of an
    int8 classifier's outputs come out different.

    Args:
        model_bytes: content of a .tflite file.
        name: what to call it in messages.
        keep_tensors: keep what lies between the layers, for `tensor`; needs memory for all of it.

    Raises:
        UsageError: LiteRT is not installed.
        ModelError: LiteRT refuses the model; the message has its words.
    """

    def __init__(self, model_bytes: bytes, *, name: str | None = None, keep_tensors: bool = False) -> None:
        runtime = _runtime()
        try:
            with capture.descriptors() as log:
                self._interpreter = runtime.Interpreter(
                    model_content=bytes(model_bytes),
                    num_threads=1,
                    experimental_op_resolver_type=runtime.OpResolverType.BUILTIN_REF,
                    experimental_preserve_all_tensors=keep_tensors,
                )
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"LiteRT refuses the model: {capture.words(log.text, error)}", where=name) from error
        self.inputs = tuple(_spec(detail) for detail in self._interpreter.get_input_details())
        self.outputs = tuple(_spec(detail) for detail in self._interpreter.get_output_details())
        self._kept = _indices(self._interpreter) if keep_tensors else {}

    def invoke(self, *arrays: Array) -> tuple[Array, ...]:
        """Run once. Arrays in the order, shape and type of `inputs`; returns copies of the outputs.

        Raises:
            UsageError: an array does not fit.
            ModelError: an operator fails.
        """
        check(arrays, self.inputs)
        for detail, array in zip(self._interpreter.get_input_details(), arrays, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise ModelError(f"LiteRT cannot run the model: {error}") from error
        return tuple(
            np.array(self._interpreter.get_tensor(detail["index"])) for detail in self._interpreter.get_output_details()
        )

    def tensor(self, name: str) -> Array:
        """A copy of what the tensor `name` held after the last run.

        Raises:
            UsageError: there is no such tensor, or the model was loaded without `keep_tensors`.
        """
        if name not in self._kept:
            raise UsageError(f"no tensor '{name}' is kept", hint="load the model with keep_tensors=True")
        return np.array(self._interpreter.get_tensor(self._kept[name]))


def _indices(interpreter: Any) -> dict[str, int]:
    """Index of each tensor by its name, the first one where several have it."""
    named: dict[str, int] = {}
    for detail in interpreter.get_tensor_details():
        named.setdefault(str(detail["name"]), int(detail["index"]))
    return named


def _runtime() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise UsageError("LiteRT is not installed", hint="pip install 'sapool[export]'") from error
    return interpreter


def _spec(detail: dict[str, Any]) -> TensorSpec:
    return TensorSpec(tuple(int(n) for n in detail["shape"]), np.dtype(detail["dtype"]))
