"""Counts, types and ranks of operands, from the table beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from firmware_sim.model import Tensor
from firmware_sim.preflight.refusal import Refusal, Stage
from firmware_sim.preflight.site import Site

_Range = tuple[int, int | None]
_ANY: Final[_Range] = (0, None)

_HALF: Final = "Convert the model with full integer quantisation, or to float32: TFLM computes nothing in float16."


class _Row(NamedTuple):
    """One row of the table; see its `about`."""

    source: str
    kernels: str | None
    inputs: _Range
    outputs: _Range
    constant: tuple[str, ...]
    same_shape: tuple[str, ...]
    same_type: tuple[tuple[tuple[str, ...], Stage], ...]
    types: tuple[tuple[str, frozenset[str], Stage], ...]
    pairs: tuple[tuple[tuple[str, str], Mapping[str, frozenset[str]], Stage], ...]
    rank: tuple[tuple[str, _Range], ...]
    is_undefined: bool


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("operands.json").read_text("utf-8"))
    return table


@cache
def _rows(op: str) -> Sequence[_Row]:
    return [_row(raw) for raw in _table()["rows"] if op in raw["ops"]]


def _row(raw: Mapping[str, Any]) -> _Row:
    stages: tuple[tuple[str, Stage], ...] = (("", "allocate"), ("invoke_", "invoke"))
    return _Row(
        source=f"kernels/{raw['source']}",
        kernels=raw.get("kernels"),
        inputs=tuple(raw.get("inputs", _ANY)),
        outputs=tuple(raw.get("outputs", _ANY)),
        constant=tuple(raw.get("constant", ())),
        same_shape=tuple(raw.get("same_shape", ())),
        same_type=tuple((tuple(raw[f"{p}same_type"]), stage) for p, stage in stages if f"{p}same_type" in raw),
        types=tuple(
            (name, frozenset(taken), stage) for p, stage in stages for name, taken in raw.get(f"{p}types", {}).items()
        ),
        pairs=tuple((*_pairs(raw[f"{p}pairs"]), stage) for p, stage in stages if f"{p}pairs" in raw),
        rank=tuple((name, tuple(limits)) for name, limits in raw.get("rank", {}).items()),
        is_undefined=raw.get("is_undefined", False),
    )


def _pairs(raw: Mapping[str, Any]) -> tuple[tuple[str, str], Mapping[str, frozenset[str]]]:
    first, second = raw["of"]
    taken = {key: frozenset(value for other, value in raw["taken"] if other == key) for key, _ in raw["taken"]}
    return (first, second), taken


def own_kernel(kernels: str, op: str) -> str | None:
    """The file of a kernel library's own kernel for an operator; None if it uses the reference kernel."""
    file: str | None = _table()["replaced"].get(kernels, {}).get(op)
    return None if file is None else f"kernels/{kernels.replace('-', '_')}/{file}"


def check(site: Site) -> Iterator[Refusal]:
    """Hold the operands of an operator against its rows."""
    for row in _rows(site.operator.op):
        if row.kernels in (None, site.profile.kernels):
            yield from _counts(site, row)
            if row.types or row.pairs or row.same_type:
                yield from _types(site, row)
            if row.rank or row.same_shape:
                yield from _shapes(site, row)


def _counts(site: Site, row: _Row) -> Iterator[Refusal]:
    for found, wanted, what in (
        (len(site.operator.inputs), row.inputs, "inputs"),
        (len(site.operator.outputs), row.outputs, "outputs"),
    ):
        if not _is_within(found, wanted):
            yield site.refuse(f"{found} {what}; TFLM takes {_range(wanted)}", row.source)
    for name in row.constant:
        tensor = site.operand(name)
        if tensor is not None and tensor.data is None:
            yield site.refuse(
                f"input {name[2:]} has to be a constant", row.source, tensor=tensor,
                hint="Export the model with fixed shapes, so that sizes, axes and paddings become constants.",
            )  # fmt: skip


def _types(site: Site, row: _Row) -> Iterator[Refusal]:
    for name, taken, stage in row.types:
        tensor = site.operand(name)
        if tensor is not None and tensor.type not in taken:
            reason = f"{tensor.type} is not supported; TFLM takes {', '.join(sorted(taken))}"
            hint = _HALF if tensor.type == "FLOAT16" else None
            yield site.refuse(reason, row.source, tensor=tensor, stage=stage, hint=hint)
    for (first, second), pairs, stage in row.pairs:
        given, tensor = site.operand(first), site.operand(second)
        if given is not None and tensor is not None and tensor.type not in pairs.get(given.type, {tensor.type}):
            wanted = ", ".join(sorted(pairs[given.type]))
            reason = f"{tensor.type} is not supported with {given.name!r} of {given.type}; TFLM takes {wanted}"
            yield site.refuse(reason, row.source, tensor=tensor, stage=stage)
    for names, stage in row.same_type:
        tensors = tuple(site.operands(names))
        odd = next((tensor for tensor in tensors if tensor.type != tensors[0].type), None)
        if odd is not None:
            reason = f"{odd.type}, but {tensors[0].name!r} is {tensors[0].type}; TFLM wants them equal"
            yield site.refuse(reason, row.source, tensor=odd, stage=stage)


def _shapes(site: Site, row: _Row) -> Iterator[Refusal]:
    for name, limits in row.rank:
        tensor = site.operand(name)
        if tensor is not None and not _is_within(len(tensor.shape), limits):
            reason = f"{len(tensor.shape)} dimensions; TFLM takes {_range(limits)}"
            yield site.refuse(reason, row.source, tensor=tensor, is_executed=False if row.is_undefined else None)
    tensors: tuple[Tensor, ...] = tuple(site.operands(row.same_shape))
    odd = next((tensor for tensor in tensors if tensor.shape != tensors[0].shape), None)
    if odd is not None:
        reason = f"shape {list(odd.shape)}, but {tensors[0].name!r} has {list(tensors[0].shape)}; TFLM wants them equal"
        yield site.refuse(reason, row.source, tensor=odd)


def _is_within(found: int, limits: _Range) -> bool:
    return limits[0] <= found and (limits[1] is None or found <= limits[1])


def _range(limits: _Range) -> str:
    low, high = limits
    if high is None:
        return f"{low} or more"
    return f"{low}" if low == high else f"{low} to {high}"
