"""Data, weights and scales per channel of the convolutions and FULLY_CONNECTED."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from firmware_sim.model import Tensor
from firmware_sim.preflight.refusal import Refusal, Stage
from firmware_sim.preflight.site import Site, is_quantised, rule, scale

_HYBRID_HINT: Final = "Quantise activations too (full integer quantisation)."
_INT4_DATA: Final = frozenset({("INT8", "INT4")})
_PAIRS: Final = frozenset({("FLOAT32", "FLOAT32"), ("INT8", "INT8"), ("INT16", "INT8")})


class _Kind(NamedTuple):
    """One operator with weights: positions of data and bias, and the axis of the weights that holds output channels."""

    data: int
    bias: int
    channels: int
    pairs: frozenset[tuple[str, str]]
    source: str


_KINDS: Final = {
    "CONV_2D": _Kind(0, 2, 0, _PAIRS | _INT4_DATA, "kernels/conv_common.cc"),
    "DEPTHWISE_CONV_2D": _Kind(0, 2, 3, _PAIRS | _INT4_DATA, "kernels/depthwise_conv_common.cc"),
    "TRANSPOSE_CONV": _Kind(2, 3, 0, _PAIRS, "kernels/transpose_conv.cc"),
    "FULLY_CONNECTED": _Kind(0, 2, 0, _PAIRS | _INT4_DATA, "kernels/fully_connected_common.cc"),
}


@rule(*_KINDS)
def types(site: Site) -> Iterator[Refusal]:
    """Which weights go with which data; weights alone in integers make a hybrid model, which no kernel takes."""
    kind = _KINDS[site.operator.op]
    data, weights = site.input(kind.data), site.input(1)
    if data is None or weights is None or (data.type, weights.type) in kind.pairs:
        return
    if data.type == "FLOAT32" and weights.type in ("INT8", "INT4"):
        reason = f"FLOAT32 data with {weights.type} weights: hybrid models are not supported"
        # Measured with CMSIS-NN for CONV_2D and FULLY_CONNECTED; its other two kernels have the same check.
        yield site.refuse(reason, kind.source, tensor=weights, is_executed=True, hint=_HYBRID_HINT)
        return
    reason = f"{data.type} data with {weights.type} weights is not supported"
    yield site.refuse(reason, kind.source, tensor=weights, stage=_stage(site.operator.op, data, weights))


def _stage(op: str, data: Tensor, weights: Tensor) -> Stage:
    """Two kernels let some pairs pass while they prepare, and have no code for them."""
    passes = {
        "DEPTHWISE_CONV_2D": data.type == weights.type,
        "FULLY_CONNECTED": data.type not in ("FLOAT32", "INT8", "INT16"),
    }
    return "invoke" if passes.get(op, False) else "allocate"


@rule("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
def channels(site: Site) -> Iterator[Refusal]:
    """One scale, or one per output channel, along the axis of the output channels."""
    kind = _KINDS[site.operator.op]
    weights = site.input(1)
    if weights is None or weights.type not in ("INT8", "INT4") or weights.quantization is None:
        return
    count, axis = len(weights.quantization.scale), weights.quantization.dimension
    if count <= 1 or not is_quantised(weights) or kind.channels >= len(weights.shape):
        return
    wanted = weights.shape[kind.channels]
    if count != wanted:
        reason = f"{count} scales for {wanted} output channels; TFLM takes 1 or {wanted}"
        yield site.refuse(reason, kind.source, tensor=weights)
    elif not 0 <= axis < len(weights.shape) or weights.shape[axis] != count:
        reason = f"{count} scales along axis {axis}; the output channels are axis {kind.channels}"
        yield site.refuse(reason, "kernels/kernel_util.cc", tensor=weights)


@rule("CONV_2D")
def wide_bias(site: Site) -> Iterator[Refusal]:
    """Only 16-bit data look at the type of the bias."""
    data, bias = site.input(0), site.input(2)
    if data is None or bias is None or data.type != "INT16" or bias.type in ("INT32", "INT64"):
        return
    reason = f"{bias.type} bias with INT16 data; TFLM takes INT32, INT64"
    yield site.refuse(reason, "kernels/conv.cc", tensor=bias, stage="invoke")


@rule("FULLY_CONNECTED")
def fully_connected_channels(site: Site) -> Iterator[Refusal]:
    """Scales per channel of FULLY_CONNECTED (fully_connected_common.cc:79-116)."""
    source = _KINDS["FULLY_CONNECTED"].source
    data, weights = site.input(0), site.input(1)
    if data is None or weights is None or weights.quantization is None or not is_quantised(weights):
        return
    count, axis = len(weights.quantization.scale), weights.quantization.dimension
    if data.type == "FLOAT32" or count <= 1:
        return
    if weights.type == "INT4":
        yield site.refuse("INT4 weights with a scale per channel", source, tensor=weights)
    elif not 0 <= axis < len(weights.shape) or weights.shape[axis] != count:
        size = weights.shape[axis] if 0 <= axis < len(weights.shape) else None
        reason = f"{count} scales along axis {axis}, which has the size {size}"
        yield site.refuse(reason, source, tensor=weights)
    elif data.type == "INT16" and site.profile.kernels == "cmsis-nn":
        yield site.refuse("INT16 data with a scale per channel", "kernels/cmsis_nn/fully_connected.cc", tensor=weights)


@rule("FULLY_CONNECTED")
def bias_scale(site: Site) -> Iterator[Refusal]:
    """The bias counts in data scale times weight scale, within 2% of the output's scale (kernel_util.cc:478)."""
    data, weights, bias, result = site.input(0), site.input(1), site.input(2), site.output()
    if data is None or weights is None or bias is None or result is None or data.type == "FLOAT32":
        return
    if weights.quantization is not None and len(weights.quantization.scale) > 1:
        return
    product = scale(data) * scale(weights)
    if _is_near(product, scale(bias), result):
        return
    reason = f"scale {scale(bias):.9g}; TFLM wants that of the data times that of the weights, {product:.9g}"
    yield site.refuse(reason, "kernels/kernel_util.cc", tensor=bias)


def _is_near(product: float, found: float, result: Tensor) -> bool:
    step = scale(result)
    return step > 0 and abs(product - found) / step <= 0.02
