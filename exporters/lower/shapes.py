"""Views, slices, concatenation and the shape of a tensor. Views cost nothing: maps stay where they are."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from exporters.graph import Shape
from exporters.lower.builder import Builder
from exporters.lower.registry import register, register_function
from exporters.lower.value import Value

_GRAPH_AXIS = {1: 3, 2: 1, 3: 2}


@register(nn.Flatten)
def flatten_layer(module: nn.Flatten, builder: Builder, x: Value) -> Value:
    return flatten(builder, x, module.start_dim, module.end_dim)


@register_function(torch.flatten, methods=("flatten",))
def flatten(builder: Builder, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    shape = x.torch_shape
    first, last = start_dim % len(shape), end_dim % len(shape)
    return view(builder, x, *shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


@register_function(torch.reshape, methods=("view", "reshape"))
def view(builder: Builder, x: Value, *shape: Any) -> Value:
    wanted = tuple(int(n) for n in (shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape))
    total, known = math.prod(x.shape), math.prod(n for n in wanted if n != -1)
    resolved = tuple(total // known if n == -1 else n for n in wanted)
    if len(x.shape) != 4 or math.prod(resolved) != total or resolved[:1] != (1,):
        raise builder.refuse(
            f"a view of {list(x.torch_shape)} as {list(wanted)} is not supported", "leave the batch axis as it is"
        )
    return x.seen_as(resolved)


@register_function(torch.squeeze, methods=("squeeze",))
def squeeze(builder: Builder, x: Value, dim: Any = None) -> Value:
    shape = x.torch_shape
    axes = range(1, len(shape)) if dim is None else [d % len(shape) for d in ((dim,) if isinstance(dim, int) else dim)]
    return x.seen_as(tuple(n for axis, n in enumerate(shape) if axis == 0 or n != 1 or axis not in axes))


@register_function(torch.unsqueeze, methods=("unsqueeze",))
def unsqueeze(builder: Builder, x: Value, dim: int) -> Value:
    shape = list(x.torch_shape)
    shape.insert(dim % (len(shape) + 1), 1)
    return view(builder, x, shape)


@register_function(methods=("expand_as",))
def expand_as(builder: Builder, x: Value, other: Value) -> Value:
    """The value itself: products and sums broadcast on the device."""
    return expand(builder, x, other.torch_shape)


@register_function(methods=("expand",))
def expand(builder: Builder, x: Value, *shape: Any) -> Value:
    wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else tuple(shape)
    fits = len(wanted) == len(x.torch_shape) and x.is_map
    if not fits or any(n not in (-1, m) and m != 1 for n, m in zip(wanted, x.torch_shape, strict=False)):
        raise builder.refuse(f"an expansion of {list(x.torch_shape)} to {list(wanted)} is not supported")
    return x


@register_function(torch.cat, torch.concat, torch.concatenate)
def concatenate(builder: Builder, tensors: Any, dim: int = 0) -> Value:
    values = list(tensors)
    if not all(isinstance(value, Value) for value in values):
        raise builder.refuse(
            "a concatenation with a constant is not supported", "add it to a convolution's bias instead"
        )
    rank = len(values[0].torch_shape)
    if all(v.is_vector and v.is_flat for v in values) and dim % rank == 1:
        joined = builder.concatenation(values)
        return joined.seen_as((1, joined.shape[-1]))
    if not all(v.is_map for v in values) or dim % rank == 0:
        raise builder.refuse(
            f"a concatenation of {[list(v.torch_shape) for v in values]} along axis {dim} is not supported",
            "concatenate maps, and flatten afterwards",
        )
    return builder.concatenation(values, _GRAPH_AXIS[dim % rank])


@register_function(torch.chunk, methods=("chunk",))
def chunk(builder: Builder, x: Value, chunks: int, dim: int = 0) -> tuple[Value, ...]:
    return split(builder, x, -(-x.torch_shape[dim] // chunks), dim)


@register_function(torch.split, methods=("split",))
def split(builder: Builder, x: Value, split_size: Any, dim: int = 0) -> tuple[Value, ...]:
    extent = x.torch_shape[dim]
    sizes = (
        [min(split_size, extent - start) for start in range(0, extent, split_size)]
        if isinstance(split_size, int)
        else list(split_size)
    )
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(
        _part(builder, x, {dim % len(x.torch_shape): (start, size)}) for start, size in zip(starts, sizes, strict=True)
    )


@register_function(operator.getitem)
def item(builder: Builder, x: Any, key: Any) -> Any:
    """Slices with step 1 and single places of a map, new axes of extent 1, or a member of what a split gave."""
    if isinstance(x, (tuple, list)):
        return x[key]
    shape = x.torch_shape
    keys = list(key) if isinstance(key, tuple) else [key]
    rest = [slice(None)] * (len(shape) - sum(part is not None and part is not Ellipsis for part in keys))
    place = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    keys[place : place + 1] = rest
    parts: dict[int, tuple[int, int]] = {}
    seen: list[int] = []
    for part in keys:
        if part is None:
            seen.append(1)
            continue
        axis = len(parts)
        if isinstance(part, slice) and part.step in (None, 1):
            start, stop, _ = part.indices(shape[axis])
            seen.append(stop - start)
        elif isinstance(part, int):
            start, stop = part % shape[axis], part % shape[axis] + 1
        else:
            raise builder.refuse(
                f"the index {key} is not supported", "use slices with step 1 and numbers along C, H or W"
            )
        parts[axis] = (start, stop - start)
    y = _part(builder, x, parts)
    return y if y.torch_shape == tuple(seen) else view(builder, y, seen)


@register(nn.ChannelShuffle)
def channel_shuffle_layer(module: nn.ChannelShuffle, builder: Builder, x: Value) -> Value:
    return channel_shuffle(builder, x, module.groups)


@register_function(torch.channel_shuffle)
def channel_shuffle(builder: Builder, x: Value, groups: int) -> Value:
    channels = x.torch_shape[1]
    return _exchanged(builder, x, groups, channels // groups).seen_as(x.torch_shape)


@register_function(torch.transpose, torch.swapaxes, methods=("transpose", "swapaxes"))
def transpose(builder: Builder, x: Value, dim0: int, dim1: int) -> Value:
    order = list(range(len(x.torch_shape)))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return permute(builder, x, order)


@register_function(torch.permute, methods=("permute",))
def permute(builder: Builder, x: Value, *order: Any) -> Value:
    """What a channel shuffle needs: groups and channels of [1, groups, channels, ...] change places."""
    shape = x.torch_shape
    axes = [axis % len(shape) for axis in (order[0] if len(order) == 1 and not isinstance(order[0], int) else order)]
    if axes == list(range(len(shape))):
        return x
    channels_apart = len(x.shape) == 4 and len(shape) > 3 and math.prod(shape[:3]) == x.shape[3]
    if not channels_apart or axes != [0, 2, 1, *range(3, len(shape))]:
        raise builder.refuse(
            f"axes of {list(shape)} in the order {axes} cannot be exported to integer TFLite",
            "keep maps [1, C, H, W], they are stored with the channels last anyway; only channels can be shuffled, as "
            "view(B, groups, C // groups, H, W).transpose(1, 2)",
        )
    return _exchanged(builder, x, *shape[1:3]).seen_as((1, shape[2], shape[1], *shape[3:]))


def _exchanged(builder: Builder, x: Value, groups: int, channels: int) -> Value:
    """Channel g * channels + c becomes channel c * groups + g: a 1x1 convolution with one 1 for each channel."""
    order = np.arange(groups * channels).reshape(groups, channels).T.reshape(-1)
    weight = np.eye(groups * channels, dtype=np.float32)[order, :, None, None]
    return builder.conv(x.seen_as((1, x.shape[3], *x.shape[1:3])), weight, None, fixed=True)


def _part(builder: Builder, x: Value, parts: Mapping[int, tuple[int, int]]) -> Value:
    """The slice of a map from (start, size) along some of torch's axes."""
    shape = x.torch_shape
    cut = {axis: part for axis, part in parts.items() if part != (0, shape[axis])}
    if not cut:
        return x
    if not x.is_map or 0 in cut or any(size < 1 for _, size in cut.values()):
        raise builder.refuse(f"a slice of {list(shape)} along axes {sorted(cut)} is not supported", "slice maps")
    begin, extent = [0, 0, 0, 0], list(x.shape)
    for axis, (start, size) in cut.items():
        begin[_GRAPH_AXIS[axis]], extent[_GRAPH_AXIS[axis]] = start, size
    return builder.slice(x, tuple(begin), tuple(extent))


@register_function(methods=("size",), takes_margins=True)
def size(builder: Builder, x: Value, dim: int | None = None) -> Shape | int:
    return x.torch_shape if dim is None else x.torch_shape[dim]


@register_function(methods=("dim", "ndimension"), takes_margins=True)
def rank(builder: Builder, x: Value) -> int:
    return len(x.torch_shape)


@register_function(getattr, takes_margins=True)
def attribute(builder: Builder, x: Value, name: str) -> Shape | int:
    if name == "shape":
        return x.torch_shape
    if name == "ndim":
        return len(x.torch_shape)
    raise builder.refuse(f"the attribute {name!r} of a tensor is not supported")


@register_function(methods=("contiguous", "clone", "detach", "float", "to"), takes_margins=True)
def same(builder: Builder, x: Value, *args: Any, **options: Any) -> Value:
    return x
