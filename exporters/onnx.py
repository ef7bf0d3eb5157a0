"""ONNX: exported by torch, simplified by onnxsim, checked, and compared with the module in onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters import returned
from exporters.errors import ExportError
from exporters.evaluating import evaluating
from firmware_sim.errors import UsageError

OPSET: Final = 18
"""Opset of the exported files: the lowest that torch's exporter writes without a conversion."""

TOLERANCE: Final = 1e-4
"""Largest absolute difference between onnxruntime and torch that is accepted."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An exported model: its bytes, its opset, its number of nodes, and the largest absolute difference from torch."""

    content: bytes
    opset: int
    nodes: int
    max_abs_error: float


def export(module: nn.Module, example: NDArray[np.float32], *, dynamic_batch: bool = True) -> OnnxModel:
    """Export `module` in evaluation mode.

    Args:
        module: the network.
        example: inputs [B, C, H, W] as the network takes them; the comparison with torch runs over all of them.
        dynamic_batch: leave the first axis free; otherwise the file takes one example at a time.

    Raises:
        UsageError: the extra `export` is not installed.
        ExportError: torch cannot export the module, or onnxruntime computes something else (above 1e-4).
    """
    need()
    with evaluating(module):
        expected = _torch_outputs(module, example)
        exported = _exported(module, example, len(expected), dynamic_batch)
    # onnxsim merges two means in a row although one keeps its axes and the other one does not, for example.
    model = _simplified(exported)
    off, problem = _difference(model, example, expected, one_by_one=not dynamic_batch)
    if not off <= TOLERANCE:
        model = exported
        off, problem = _difference(model, example, expected, one_by_one=not dynamic_batch)
    if not off <= TOLERANCE:
        raise ExportError(
            problem or f"onnxruntime differs from torch by {off:.2e}, more than {TOLERANCE:.0e}",
            where=type(module).__name__,
            hint="please report it with the network",
        )
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)
    return OnnxModel(model.SerializeToString(), int(opset), len(model.graph.node), off)


def need() -> None:
    """Ask for the packages early: a missing one should not cost an export.

    Raises:
        UsageError: one is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(f"ONNX export needs {error.name}", hint="pip install 'sapool[export]'") from error


def session(content: bytes, *, as_written: bool = False) -> Any:
    """The file in onnxruntime, one thread.

    Args:
        content: an ONNX file.
        as_written: compute what stands between QuantizeLinear and DequantizeLinear in real numbers instead of by
            integer kernels: on x86 without VNNI those saturate sums of two products at 16 bits, which large weights
            such as those of a blur exceed (onnxruntime's documentation of quantisation, "reduce_range").
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _torch_outputs(module: nn.Module, example: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The outputs of a module that returns a tensor or several."""
    with torch.inference_mode():
        result = module(torch.from_numpy(example))
    return tuple(np.asarray(each.numpy()) for each in returned.values(result))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's exporter and onnxsim, which talk on stdout and warn about internals of their own."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _exported(module: nn.Module, example: NDArray[np.float32], outputs: int, dynamic_batch: bool) -> Any:
    # Two examples: torch would specialise a batch of one.
    size = 2 if dynamic_batch else 1
    batch = torch.from_numpy(np.resize(example, (size, *example.shape[1:])))
    names = ["logits"] if outputs == 1 else [f"output_{i}" for i in range(outputs)]
    shapes = ({0: torch.export.Dim("batch", min=1, max=1 << 16)},) if dynamic_batch else None
    try:
        with _quiet():
            program = torch.onnx.export(
                module, (batch,), dynamo=True, opset_version=OPSET, verbose=False, optimize=True,
                input_names=["input"], output_names=names, dynamic_shapes=shapes,
            )  # fmt: skip
    except Exception as error:  # whatever the traced forward raises
        raise ExportError(
            f"torch cannot export this network to ONNX: {_reason(error)}",
            where=type(module).__name__,
            hint="control flow must not depend on the values of tensors, and torch.onnx must know each operation",
        ) from error
    assert program is not None
    return program.model_proto


def _reason(error: BaseException) -> str:
    """What the innermost exception says: torch wraps it in others that say how to export with more output."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _simplified(model: Any) -> Any:
    import onnxsim

    with _quiet():
        simplified, equal = onnxsim.simplify(model)
    # A simplification that onnxsim cannot confirm is not used.
    return simplified if equal else model


def _difference(
    model: Any, example: NDArray[np.float32], expected: Sequence[NDArray[np.float32]], *, one_by_one: bool
) -> tuple[float, str]:
    """Largest distance of any output in onnxruntime; NaN, and why, if the model is not sound or does not run."""
    import onnx

    batches = np.split(example, len(example)) if one_by_one else [example]
    try:
        onnx.checker.check_model(model, full_check=True)
        runtime = session(model.SerializeToString())
        name = runtime.get_inputs()[0].name
        results = zip(*(runtime.run(None, {name: batch}) for batch in batches), strict=True)
        actual = [np.concatenate(parts) for parts in results]
    except Exception as error:  # the checker and the runtime have exceptions of their own
        return math.nan, f"torch's exporter wrote a model that is not sound: {_reason(error)}"
    if [a.shape for a in actual] != [e.shape for e in expected]:
        return math.nan, f"onnxruntime's outputs have the shapes {[a.shape for a in actual]}"
    return max(float(np.abs(a - e).max()) for a, e in zip(actual, expected, strict=True)), ""
