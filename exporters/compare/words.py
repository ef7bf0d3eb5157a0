"""The figures of a comparison in words, alike in every format for people."""

from __future__ import annotations

from typing import Final

from exporters.compare.result import Comparison, LayerError

HEADER: Final = ("layer", "operator", "module", "SQNR", "own SQNR", "error", "saturated", "scale")
WORST: Final = 5


def decibels(value: float | None) -> str:
    """A ratio, "-" where nothing differs."""
    return "-" if value is None else f"{value:.1f} dB"


def share(value: float | None) -> str:
    """A share as a percentage, "-" where there is none."""
    return "-" if value is None else f"{value:.2%}"


def row(layer: LayerError) -> tuple[str, ...]:
    """The cells of a layer under `HEADER`."""
    return (
        str(layer.index), layer.op, layer.place, decibels(layer.sqnr_db), decibels(layer.own_sqnr_db),
        share(layer.relative_rms), share(layer.saturated), f"{layer.scale:.4g}",
    )  # fmt: skip


def verdict(comparison: Comparison) -> str:
    """The end-to-end figures in a sentence."""
    return (
        f"Int8 and float over {comparison.examples} examples ({comparison.runtime}): the output differs by "
        f"{share(comparison.logit_error)} of its deviation, the largest output is the same on "
        f"{comparison.top1_agreement:.1%}"
    )


def worst(comparison: Comparison) -> list[str]:
    """The layers that lose most by themselves, a line each; one line that says so if no layer does."""
    lines = [
        f"{layer.index} {layer.op} {layer.place}: {decibels(layer.own_sqnr_db)} by itself, "
        f"{decibels(layer.sqnr_db)} with what comes in"
        for layer in comparison.worst(WORST)
    ]
    return lines or ["none: nothing differs"]
