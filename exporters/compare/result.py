"""What a comparison found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ID: Final = "sapool.compare/1"
"""Name and version of what the format `json` writes."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far one operator's int8 output is from the float one, over all examples.

    Attributes:
        index: place in the order of execution.
        layer: path of the module that it belongs to; empty for the network itself.
        op: name of the operator.
        output: name of the tensor that it writes.
        sqnr_db: 10 log10 of the power of the float values over that of the difference; None without a difference, or
            without a signal.
        own_sqnr_db: the same for what this layer alone does: its int8 output against the float operator with float weights
            on its int8 inputs. None likewise.
        relative_rms: rms of the difference over the standard deviation of the float values; None if these are all alike.
        saturated: share of the values that int8 cannot reach: the integer is the smallest or largest one, and the float
            value lies at least half a step beyond it.
        scale: of the output.
        zero_point: of the output.
    """

    index: int
    layer: str
    op: str
    output: str
    sqnr_db: float | None
    own_sqnr_db: float | None
    relative_rms: float | None
    saturated: float
    scale: float
    zero_point: int

    @property
    def place(self) -> str:
        """The module's path, or a word for the network itself."""
        return self.layer or "(network)"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Int8 against float, over `examples` inputs.

    Attributes:
        examples: how many.
        runtime: what computed the int8 values.
        logit_error: rms of the difference of the first output over the standard deviation of its float values; None if
            these are all alike.
        top1_agreement: share of the examples whose largest value of the first output is in the same place.
        layers: in the order of execution.
    """

    examples: int
    runtime: str
    logit_error: float | None
    top1_agreement: float
    layers: tuple[LayerError, ...]

    def worst(self, count: int) -> tuple[LayerError, ...]:
        """The layers that lose most by themselves, the worst first."""
        losing = [layer for layer in self.layers if layer.own_sqnr_db is not None]
        return tuple(sorted(losing, key=lambda layer: layer.own_sqnr_db or 0.0)[:count])
