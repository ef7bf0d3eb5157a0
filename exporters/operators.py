"""What the exporters know of each TFLite operator, from the table operators.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporters.graph import Quantization


@dataclass(frozen=True, slots=True)
class OperatorKind:
    """Facts of one operator.

    `options` is the member of BuiltinOptions that it carries, `version` the operator version for int8 operands, and
    `rule` how its output is quantised: "free" (by its own range), "same" (scale and zero point of its inputs, which all
    agree) or "fixed" (as `output` says).
    """

    name: str
    options: str | None
    version: int
    rule: str
    output: Quantization | None = None


def _load() -> dict[str, OperatorKind]:
    raw = json.loads(Path(__file__).with_name("operators.json").read_text("utf-8"))
    return {name: _kind(name, **facts) for name, facts in raw["operators"].items()}


def _kind(
    name: str, options: str | None, version: int, rule: str, scale: float | None = None, zero_point: int = 0
) -> OperatorKind:
    return OperatorKind(name, options, version, rule, None if scale is None else Quantization((scale,), (zero_point,)))


KINDS: Final[Mapping[str, OperatorKind]] = _load()
