"""What the exporters know of each TFLite operator, from the table operators.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class OperatorKind:
    """Facts of one operator.

    `options` is the member of BuiltinOptions that it carries, `version` the operator version for int8 operands, and
    `rule` how its output is quantised: "free" (by its own range), "same" (scale and zero point of its inputs, which all
    agree) or "unit" (scale 1/256, zero point -128: values in [0, 1)).
    """

    name: str
    options: str | None
    version: int
    rule: str


def _load() -> dict[str, OperatorKind]:
    raw = json.loads(Path(__file__).with_name("operators.json").read_text("utf-8"))
    return {name: OperatorKind(name, **facts) for name, facts in raw["operators"].items()}


KINDS: Final[Mapping[str, OperatorKind]] = _load()
