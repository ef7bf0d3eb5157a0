"""ONNX: exported by torch, simplified by onnxsim, checked, and compared with the module in onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
    import onnx

    with evaluating(module):
        expected = _torch_outputs(module, example)
        model = _simplified(_exported(module, example, dynamic_batch))
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    off = _difference(content, example, expected, one_by_one=not dynamic_batch)
    if not off <= TOLERANCE:
        raise ExportError(
            f"onnxruntime differs from torch by {off:.2e}, more than {TOLERANCE:.0e}",
            where=type(module).__name__,
            hint="please report it with the network",
        )
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)
    return OnnxModel(content, int(opset), len(model.graph.node), off)


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


def _torch_outputs(module: nn.Module, example: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(example)).numpy())


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


def _exported(module: nn.Module, example: NDArray[np.float32], dynamic_batch: bool) -> Any:
    # Two examples: torch would specialise a batch of one.
    size = 2 if dynamic_batch else 1
    batch = torch.from_numpy(np.resize(example, (size, *example.shape[1:])))
    shapes = ({0: torch.export.Dim("batch", min=1, max=1 << 16)},) if dynamic_batch else None
    try:
        with _quiet():
            program = torch.onnx.export(
                module, (batch,), dynamo=True, opset_version=OPSET, verbose=False, optimize=True,
                input_names=["input"], output_names=["logits"], dynamic_shapes=shapes,
            )  # fmt: skip
    except Exception as error:  # whatever the traced forward raises
        first = str(error).strip().splitlines()
        raise ExportError(
            f"torch cannot export this network to ONNX: {first[0] if first else type(error).__name__}",
            where=type(module).__name__,
            hint="control flow must not depend on the values of tensors",
        ) from error
    assert program is not None
    return program.model_proto


def _simplified(model: Any) -> Any:
    import onnxsim

    with _quiet():
        simplified, equal = onnxsim.simplify(model)
    # A simplification that onnxsim cannot confirm is not used.
    return simplified if equal else model


def _difference(
    content: bytes, example: NDArray[np.float32], expected: NDArray[np.float32], *, one_by_one: bool
) -> float:
    runtime = session(content)
    name = runtime.get_inputs()[0].name
    batches = np.split(example, len(example)) if one_by_one else [example]
    actual = np.concatenate([runtime.run(None, {name: batch})[0] for batch in batches])
    return float(np.abs(actual - expected).max())
