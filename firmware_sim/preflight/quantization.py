"""Scales and zero points, from the table beside this file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from firmware_sim.preflight.refusal import Refusal, Stage
from firmware_sim.preflight.site import Site, is_quantised, scale, zero_point

_QUANTISE = "Quantise the whole model (full integer quantisation), so that every integer tensor has a scale."


class _Row(NamedTuple):
    """One row of the table; see its `about`."""

    source: str
    kernels: str | None
    when: tuple[tuple[str, frozenset[str]], ...]
    quantised: tuple[str, ...]
    unquantised: tuple[str, ...]
    one_scale: tuple[str, ...]
    zero_point: tuple[tuple[str, int], ...]
    scale: tuple[tuple[str, tuple[float, float]], ...]
    equal: tuple[str, ...]
    tolerance: float
    stage: Stage


@cache
def _rows() -> Mapping[str, Sequence[_Row]]:
    table = json.loads(Path(__file__).with_name("quantization.json").read_text("utf-8"))
    rows: dict[str, list[_Row]] = {}
    for raw in table["rows"]:
        for op in raw["ops"]:
            rows.setdefault(op, []).append(_row(raw))
    return rows


def _row(raw: Mapping[str, Any]) -> _Row:
    return _Row(
        source=f"kernels/{raw['source']}",
        kernels=raw.get("kernels"),
        when=tuple((name, frozenset(types)) for name, types in raw["when"].items()),
        quantised=tuple(raw.get("quantised", ())),
        unquantised=tuple(raw.get("unquantised", ())),
        one_scale=tuple(raw.get("one_scale", ())),
        zero_point=tuple(raw.get("zero_point", {}).items()),
        scale=tuple((name, tuple(values)) for name, values in raw.get("scale", {}).items()),
        equal=tuple(raw.get("equal", ())),
        tolerance=raw.get("tolerance", 0.0),
        stage=raw.get("stage", "allocate"),
    )


def check(site: Site) -> Iterator[Refusal]:
    """Hold scales and zero points of an operator against its rows."""
    for row in _rows().get(site.operator.op, ()):
        if row.kernels in (None, site.profile.kernels) and _applies(site, row):
            yield from _presence(site, row)
            if row.zero_point or row.scale:
                yield from _values(site, row)
            if row.equal:
                yield from _equality(site, row)


def _applies(site: Site, row: _Row) -> bool:
    for name, types in row.when:
        tensor = site.operand(name)
        if tensor is None or tensor.type not in types:
            return False
    return True


def _presence(site: Site, row: _Row) -> Iterator[Refusal]:
    for tensor in site.operands(row.quantised):
        if not is_quantised(tensor):
            reason = f"{tensor.type} without scale and zero point"
            yield site.refuse(reason, row.source, tensor=tensor, stage=row.stage, hint=_QUANTISE)
    for tensor in site.operands(row.unquantised):
        if is_quantised(tensor):
            yield site.refuse(f"{tensor.type} with a scale; TFLM takes plain integers", row.source, tensor=tensor)
    for tensor in site.operands(row.one_scale):
        if tensor.quantization is not None and len(tensor.quantization.scale) > 1:
            reason = f"{len(tensor.quantization.scale)} scales; TFLM takes one"
            yield site.refuse(reason, row.source, tensor=tensor)


def _values(site: Site, row: _Row) -> Iterator[Refusal]:
    for name, wanted in row.zero_point:
        for tensor in site.operands((name,)):
            if zero_point(tensor) != wanted:
                reason = f"zero point {zero_point(tensor)}; TFLM wants {wanted}"
                yield site.refuse(reason, row.source, tensor=tensor, stage=row.stage)
    for name, (value, tolerance) in row.scale:
        for tensor in site.operands((name,)):
            if abs(scale(tensor) - value) > tolerance * value:
                reason = f"scale {scale(tensor):.9g}; TFLM wants 1/{round(1 / value)}"
                yield site.refuse(reason, row.source, tensor=tensor, stage=row.stage)


def _equality(site: Site, row: _Row) -> Iterator[Refusal]:
    tensors = tuple(site.operands(row.equal))
    for tensor in tensors[1:]:
        first = tensors[0]
        is_near = abs(scale(tensor) - scale(first)) <= row.tolerance
        if is_near and zero_point(tensor) == zero_point(first):
            continue
        reason = (
            f"scale {scale(tensor):.9g} and zero point {zero_point(tensor)}, but {first.name!r} has "
            f"{scale(first):.9g} and {zero_point(first)}; TFLM wants them equal"
        )
        yield site.refuse(reason, row.source, tensor=tensor, stage=row.stage)
