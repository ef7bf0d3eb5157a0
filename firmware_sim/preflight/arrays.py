"""Operators that move elements about: sizes that have to agree."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from firmware_sim.memory.elements import tensor_bytes
from firmware_sim.model import Tensor
from firmware_sim.preflight.refusal import Refusal
from firmware_sim.preflight.site import Site, rule

_MAX_CONCATENATED: Final = 10  # kMaxInputNum in concatenation.cc


@rule("CONCATENATION")
def concatenation(site: Site) -> Iterator[Refusal]:
    """At most ten inputs, and no activation."""
    source = "kernels/concatenation.cc"
    if len(site.operator.inputs) > _MAX_CONCATENATED:
        reason = f"{len(site.operator.inputs)} inputs; TFLM takes {_MAX_CONCATENATED}"
        yield site.refuse(reason, source, hint="Concatenate in two steps.")
    yield from _no_activation(site, source)


@rule("L2_NORMALIZATION")
def l2_normalization(site: Site) -> Iterator[Refusal]:
    """No activation."""
    yield from _no_activation(site, "kernels/l2norm.cc")


def _no_activation(site: Site, source: str) -> Iterator[Refusal]:
    if site.operator.option("fused_activation_function"):
        yield site.refuse("a fused activation is not supported", source, hint="Make the activation an operator.")


@rule("RESHAPE")
def reshape(site: Site) -> Iterator[Refusal]:
    """As many elements as before; at most one size is left open."""
    data, result = site.input(0), site.output()
    if data is None or result is None or -1 in data.shape:
        return
    source = "kernels/reshape_common.cc"
    if result.shape.count(-1) > 1:
        yield site.refuse(f"shape {list(result.shape)} leaves more than one size open", source, tensor=result)
    elif -1 not in result.shape and 0 not in result.shape and data.elements != result.elements:
        yield site.refuse(f"{data.elements} elements cannot become {list(result.shape)}", source, tensor=result)


@rule("EXPAND_DIMS")
def expand_dims(site: Site) -> Iterator[Refusal]:
    """One axis more."""
    data, result = site.input(0), site.output()
    if data is not None and result is not None and len(result.shape) != len(data.shape) + 1:
        reason = f"{len(result.shape)} dimensions from {len(data.shape)}; TFLM adds one"
        yield site.refuse(reason, "kernels/expand_dims.cc", tensor=result)


@rule("SQUEEZE")
def squeeze(site: Site) -> Iterator[Refusal]:
    """As many bytes as before."""
    data, result = site.input(0), site.output()
    if data is None or result is None or -1 in data.shape or -1 in result.shape:
        return
    if tensor_bytes(data) != tensor_bytes(result):
        reason = f"{tensor_bytes(data)} bytes cannot become {tensor_bytes(result)}"
        yield site.refuse(reason, "kernels/squeeze.cc", tensor=result, stage="invoke")


@rule("PAD", "PADV2")
def pad(site: Site) -> Iterator[Refusal]:
    """Two paddings per axis, which give the output's shape; one value to pad with (pad_common.cc:60-77)."""
    source = "kernels/pad_common.cc"
    data, paddings, value, result = site.input(0), site.input(1), site.input(2), site.output()
    if value is not None and value.elements != 1:
        yield site.refuse(f"{value.elements} values to pad with; TFLM takes one", source, tensor=value)
    if data is None or paddings is None or result is None:
        return
    if paddings.elements != 2 * len(result.shape):
        reason = f"{paddings.elements} paddings for {len(result.shape)} axes"
        yield site.refuse(reason, source, tensor=paddings)
        return
    numbers = _integers(paddings)
    if numbers is None or len(data.shape) != len(result.shape):
        return
    wanted = tuple(size + numbers[2 * i] + numbers[2 * i + 1] for i, size in enumerate(data.shape))
    if wanted != result.shape:
        yield site.refuse(f"shape {list(result.shape)}; the paddings give {list(wanted)}", source, tensor=result)


@rule("TRANSPOSE")
def transpose(site: Site) -> Iterator[Refusal]:
    """One entry per axis, each of which is an axis."""
    data, order = site.input(0), site.input(1)
    if data is None or order is None:
        return
    rank, source = len(data.shape), "kernels/transpose_common.cc"
    numbers = _integers(order)
    if order.elements != rank:
        yield site.refuse(f"{order.elements} axes to arrange {rank}", source, tensor=order)
    elif numbers is not None and not all(-rank <= number < rank for number in numbers):
        yield site.refuse(f"axes {list(numbers)} of a tensor of {rank}", source, tensor=order)


@rule("STRIDED_SLICE")
def strided_slice(site: Site) -> Iterator[Refusal]:
    """No stride is 0."""
    strides = site.input(3)
    numbers = None if strides is None else _integers(strides)
    if numbers is not None and 0 in numbers:
        yield site.refuse("a stride of 0", "kernels/strided_slice_common.cc", tensor=strides)


@rule("DEPTH_TO_SPACE")
def depth_to_space(site: Site) -> Iterator[Refusal]:
    """The channels have to divide evenly."""
    yield from _blocks(site, site.output(), site.input(0), "kernels/depth_to_space.cc")


@rule("SPACE_TO_DEPTH")
def space_to_depth(site: Site) -> Iterator[Refusal]:
    """Height and width have to divide evenly."""
    yield from _blocks(site, site.input(0), site.output(), "kernels/space_to_depth.cc")


def _blocks(site: Site, wide: Tensor | None, deep: Tensor | None, source: str) -> Iterator[Refusal]:
    if wide is None or deep is None or len(wide.shape) != 4 or len(deep.shape) != 4:
        return
    size = site.operator.option("block_size")
    _, height, width, channels = deep.shape
    if wide.shape[1:] != (height * size, width * size, channels // (size * size or 1)) or channels % (size * size or 1):
        reason = f"blocks of {size} do not turn {list(deep.shape)} into {list(wide.shape)} or back"
        yield site.refuse(reason, source)


@rule("GATHER_ND")
def gather_nd(site: Site) -> Iterator[Refusal]:
    """At most five indices an element."""
    indices = site.input(1)
    if indices is not None and indices.shape and indices.shape[-1] > 5:
        reason = f"{indices.shape[-1]} indices an element; TFLM takes 5"
        yield site.refuse(reason, "kernels/gather_nd.cc", tensor=indices)


@rule("CUMSUM")
def cumsum(site: Site) -> Iterator[Refusal]:
    """One axis."""
    axis = site.input(1)
    if axis is not None and axis.elements != 1:
        yield site.refuse(f"{axis.elements} axes; TFLM takes one", "kernels/cumsum.cc", tensor=axis)


@rule("RESIZE_NEAREST_NEIGHBOR")
def resize_nearest_neighbor(site: Site) -> Iterator[Refusal]:
    """The size is height and width."""
    size = site.input(1)
    if size is not None and size.shape != (2,):
        source = "kernels/resize_nearest_neighbor.cc"
        yield site.refuse(f"shape {list(size.shape)}; TFLM wants height and width", source, tensor=size)


@rule("RESIZE_BILINEAR")
def resize_bilinear(site: Site) -> Iterator[Refusal]:
    """Only one of the two conventions about corners."""
    if site.operator.option("half_pixel_centers") and site.operator.option("align_corners"):
        yield site.refuse("both half_pixel_centers and align_corners", "kernels/resize_bilinear.cc")


def _integers(tensor: Tensor) -> tuple[int, ...] | None:
    """The values of an INT32 constant; None if it is something else."""
    if tensor.type != "INT32" or tensor.data is None or len(tensor.data) != 4 * tensor.elements:
        return None
    return struct.unpack(f"<{tensor.elements}i", tensor.data)
